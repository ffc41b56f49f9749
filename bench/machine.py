"""The machine that is measured on: what it is, and how many files it lets us open."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from bench import install

_WANTED_FILES = 65_536


def open_files() -> int:
    """How many files this process and those it starts may open, raised as far as one may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(_WANTED_FILES, soft)
    with suppress(ValueError, OSError):
        # Only root may raise the hard limit.
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def description() -> dict[str, str]:
    """What a reader needs to know in order to judge the figures."""
    return {
        "processor": f"{_line('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{int(_line('/proc/meminfo', 'MemTotal').split()[0]) / 1e6:.0f} GB",
        "system": f"Linux {platform.release()}",
        "python": f"{platform.python_version()} in {_short(sys.base_prefix)}",
        "uvicorn": f"{version('uvicorn')}, uvloop {version('uvloop')}",
        "Redis": _said([install.redis(), "--version"]).split(" sha")[0],
        "Node": _said([shutil.which("node") or "node", "--version"]),
        "nginx": _said([install.nginx() or "nginx", "-v"]),
        "commit": _said(["git", "rev-parse", "--short", "HEAD"]),
    }


def busy() -> float:
    """How many processes wanted a core in the last minute."""
    return os.getloadavg()[0]


def _short(path: str) -> str:
    """A path without the name of whose home it is in."""
    return path.replace(str(Path.home()), "~")


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "0 unknown"


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=install.ROOT)
    except OSError:
        return "none"
    return (done.stdout or done.stderr).strip()
