"""The peers that are not Python: npm's packages and nginx' module nchan, into build/, nothing into the system."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from app.cli import embedded_redis

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "bench"
NODE_MODULES = BUILD / "npm" / "node_modules"
_MINUTES = 300


@cache
def node() -> str | None:
    """Node with the packages of `package.json`; None where they cannot be had, which takes long to find out."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        return None
    wanted, folder = (ROOT / "bench" / "package.json").read_text(), BUILD / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "installed.json"
    if not done.exists() or done.read_text() != wanted:
        (folder / "package.json").write_text(wanted)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        if not _succeeds(command, folder):
            return None
        done.write_text(wanted)
    return found


def nchan() -> Path | None:
    """nginx' module, from Debian's package for the nginx that is installed; None where it cannot be had."""
    folder = BUILD / "nchan"
    folder.mkdir(parents=True, exist_ok=True)
    if nginx() is None or (shutil.which("apt-get") is None and not _module(folder)):
        return None
    if not _module(folder):
        _succeeds(["apt-get", "download", "-q", "libnginx-mod-nchan"], folder)
        for package in folder.glob("*.deb"):
            _succeeds(["dpkg", "-x", str(package), str(folder)], folder)
    return _module(folder)


def redis() -> str:
    """The Redis that all are measured with: the bundled one, or the program that `SMARTVOICE_REDIS_BINARY` names."""
    return embedded_redis.server_binary(os.environ.get("SMARTVOICE_REDIS_BINARY", ""))


def nginx() -> str | None:
    """nginx' command."""
    return shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


def _module(folder: Path) -> Path | None:
    return next(folder.rglob("ngx_nchan_module.so"), None)


def _succeeds(command: list[str], folder: Path) -> bool:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_MINUTES, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
