"""Folders in which workers work: gone with the work, or, where a worker was killed, as soon as another one starts."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

logger = structlog.get_logger()

_PREFIX = "smartvoice-work-"
_LOCK = ".at-work"


@contextmanager
def scratch_dir() -> Iterator[Path]:
    """A folder for as long as the context is open. A lock that ends with the process says that somebody is at it."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        unnamed = folder / f"{_LOCK}.new"
        with unnamed.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Only now, so that whoever clears away never finds one that is not locked yet.
            unnamed.rename(folder / _LOCK)
            yield folder


def clear_away() -> int:
    """Removes the folders of workers that were killed; how many there were. What is somebody else's is left alone."""
    count = 0
    for file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), file.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent)
            count += 1
    if count:
        logger.info("workplaces_cleared", count=count)
    return count
