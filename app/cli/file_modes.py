"""Files of the data folder are their owner's alone: password hashes, keys, manuscripts and sockets lie there."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

UMASK = 0o077
"""The umask of `smartvoice up` and of every process that it starts."""

_OURS = ("secret.key", "redis.*", "appendonly*", "appendonly*/*", "*.rdb", "*.lock", "*.log", "storage")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep(folder: Path) -> None:
    """Make `folder` where there is none, and take from group and others what they may do to it and to our files there.

    An earlier version, or another umask, may have left files that others can read. What lies deeper is out of their
    reach, since they cannot enter the folders above it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in [folder, *(path for pattern in _OURS for path in folder.glob(pattern))]:
        # Not ours to change, or gone by now: a socket, a file that Redis rewrites.
        with suppress(FileNotFoundError, PermissionError):
            mode = path.lstat().st_mode
            if mode & _OTHERS and not stat.S_ISLNK(mode):
                path.chmod(stat.S_IMODE(mode) & ~_OTHERS)


def appended(path: Path) -> BinaryIO:
    """Open a file to append to; a new one is its owner's alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
