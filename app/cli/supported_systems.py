"""Whether SmartVoice runs on this Python and system; run as a script, it prints a sentence where it does not.

`make` asks before it installs anything, and the command before it imports anything: what is missing there ends in the
traceback of a library otherwise. So this is written for older Pythons, too, and imports little.
"""

import os
import sys

_OLDEST = (3, 11)
_OLDEST_GLIBC = (2, 28)
_LINUX = "SmartVoice needs Linux with glibc 2.28 or newer (Debian, Ubuntu, Fedora ...), or macOS"


def objection() -> str:
    """Why SmartVoice does not run here, and what to do about it; empty where it does."""
    if sys.platform == "win32":
        return _LINUX + "; on Windows it runs within WSL."
    if sys.version_info < _OLDEST:
        return "SmartVoice needs Python 3.11 or newer; this is " + _python() + ". Name another: make run PYTHON=..."
    if sys.implementation.name != "cpython":
        return "SmartVoice needs CPython; this is " + sys.implementation.name + ". Name another: make run PYTHON=..."
    if "t" in sys.abiflags:
        usual = "python" + _python().rpartition(".")[0]
        return (
            "SmartVoice's libraries have no builds for this free-threaded Python " + _python() + ". "
            "Name the usual one: make run PYTHON=" + usual
        )
    return _objection_to_libc() if sys.platform.startswith("linux") else ""


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])


def _objection_to_libc() -> str:
    """By confstr(3), which musl answers otherwise."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (ValueError, OSError):
        return _LINUX + "; this system has another C library (Alpine's musl?)."
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST_GLIBC:
        return _LINUX + "; this one has " + name + " " + version + "."
    return ""


if __name__ == "__main__":
    sys.exit(objection() or 0)
