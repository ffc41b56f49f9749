"""Temporary folders for work: deleted with the work or, if a worker was killed, when another one starts."""

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
    """Yield a folder that lasts as long as the context. A lock that ends with the process marks it as in use."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        folder = Path(name)
        unnamed = folder / f"{_LOCK}.new"
        with unnamed.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Renamed only now, so that `clear_away` never finds one that is not locked yet.
            unnamed.rename(folder / _LOCK)
            yield folder


def clear_away() -> int:
    """Delete the folders of workers that were killed; return how many. Files of others are left alone."""
    count = 0
    for file in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError), file.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent)
            count += 1
    if count:
        logger.info("workplaces_cleared", count=count)
    return count
