"""Modules of ours as sandboxed programs: their command, and what they need to be able to read."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

_PACKAGES = Path(__file__).parents[2]
_NAMES = ("app", "workers", "smartvoice")
# Of these the last is there in a checkout; where SmartVoice is installed, it is among the installed packages.
_OURS = tuple(folder for name in _NAMES if (folder := _PACKAGES / name).is_dir())


def command(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` as `python -m` does, with UTF-8 and without environment."""
    folders, sites = (":".join(map(str, paths)) for paths in (_OURS, _sites()))
    file = Path(__file__).with_name("run_module.py")
    return [sys.executable, "-I", "-X", "utf8", str(file), folders, sites, module, *arguments]


@cache
def readable() -> tuple[Path, ...]:
    """Python, what is installed with it, our packages, and the libraries that this process has loaded."""
    return (*dict.fromkeys(map(Path, (sys.prefix, sys.base_prefix))), *_OURS, *_sites(), *_libraries())


def _sites() -> list[Path]:
    """Folders of installed packages, which may also be a user's own or named by the environment."""
    return [Path(path) for path in sys.path if path.endswith(("/site-packages", "/dist-packages"))]


@cache
def standard() -> tuple[Path, ...]:
    """Python and its standard library, without what is installed with it."""
    return (Path(sys.base_prefix), *_libraries())


def _libraries() -> list[Path]:
    """Of Python elsewhere than in the system's folders, libraries may lie anywhere (proc(5), `maps`)."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    found = {Path(line.split(maxsplit=5)[5]) for line in lines if line.count(" ") > 5 and ".so" in line}
    return sorted(path for path in found if path.is_absolute())
