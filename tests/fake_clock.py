"""A real Redis whose wall clock is set by the test (libfaketime), and jumps under it while it runs."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.cli import embedded_redis
from tests.faults.rig import RedisServer
from tests.programs import missing

HOUR = 3600
_LIBRARIES = "usr/lib/*/faketime", "usr/local/lib/faketime"


def _library() -> str:
    found = [folder for pattern in _LIBRARIES for folder in Path("/").glob(pattern)]
    if not found:
        missing("no libfaketime for the tests with clocks that jump; install it (Debian: apt-get install faketime)")
    return str(found[0] / "libfaketime.so.1")


def faked(file: Path) -> dict[str, str]:
    """The variables by which a program reads its time of the day from `file`, each time that it looks."""
    # Only what the kernel calls the day's time jumps; what counts from the start goes on.
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def binary() -> str:
    """The bundled server, which runs under libfaketime: one with jemalloc, as Debian's, does not even start."""
    found = embedded_redis.bundled_binary()
    if found is None:
        pytest.skip("no bundled server here, and others may have jemalloc")
    return found


def put(file: Path, seconds: int) -> None:
    """Puts the clock that is read from `file` so many seconds ahead of this machine's, now."""
    partial = file.with_suffix(".new")
    partial.write_text(f"{seconds:+d}\n")
    partial.replace(file)


class Redis(RedisServer):
    """A Redis that keeps everything, and believes in another time than this machine's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, binary())
        self._file = folder / "time"
        self.set(0)
        self._environment |= faked(self._file)

    def set(self, seconds: int) -> None:
        """Puts the clock so many seconds ahead of this machine's, now."""
        put(self._file, seconds)


@asynccontextmanager
async def clocked() -> AsyncIterator[Redis]:
    """A server in a folder of its own for as long as the context is open."""
    with tempfile.TemporaryDirectory(prefix="sv-clock-") as folder:
        server = Redis(Path(folder))
        try:
            await server.restart()
            yield server
        finally:
            server.close()
