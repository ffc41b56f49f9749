"""Whether this process was told to end. A signal is for the whole process, and so is this state."""

from __future__ import annotations

import asyncio
import threading

_LOOK_SECONDS = 0.05
_MAX_SECONDS = 30.0  # a worker that shuts down cancels its jobs long before

_told = threading.Event()


def tell() -> None:
    """Note, in a signal handler, that this process is about to end."""
    _told.set()


async def give_way(seconds: float = 5.0) -> None:
    """Wait for so long whether this process is told to end and, if so, for this task to be cancelled.

    Called after a program was killed from outside. A service or a machine that ends kills all its processes: the job is
    then released, which costs nothing, while a failure would count.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + seconds
    while not _told.is_set():
        if loop.time() >= latest:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    await asyncio.sleep(_MAX_SECONDS)
