"""Which Redis the tests run on: the bundled one, or the program that `SMARTVOICE_REDIS_BINARY` names."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from app.cli import embedded_redis


def binary() -> str:
    """The program of the server that tests start."""
    return embedded_redis.server_binary(os.environ.get("SMARTVOICE_REDIS_BINARY", ""))


def command(folder: Path) -> list[str]:
    """How `smartvoice up` starts that server, with its data in `folder`."""
    return embedded_redis.command(folder, binary=binary())


def all_servers() -> list[str]:
    """The bundled server, and those of other makers or versions that this machine has on PATH."""
    found = [embedded_redis.bundled_binary(), shutil.which("redis-server"), shutil.which("valkey-server")]
    return list(dict.fromkeys(one for one in found if one))
