"""Whether this process has been told to end: a signal is for the whole process, so what is known of it is, too."""

from __future__ import annotations

import asyncio
import threading

_LOOK_SECONDS = 0.05
_MAX_SECONDS = 30.0  # a worker that leaves cancels its jobs long before

_told = threading.Event()


def tell() -> None:
    """For the handler of signals: this process is about to end."""
    _told.set()


async def give_way(seconds: float = 5.0) -> None:
    """Waits for so long whether this process is told to end, and if it is, for this task to be cancelled.

    For whoever lost a program that was killed from outside. Whoever ends a service or a machine ends all its processes:
    the job is then handed back, which costs it nothing, where its failure would count.
    """
    loop = asyncio.get_running_loop()
    latest = loop.time() + seconds
    while not _told.is_set():
        if loop.time() >= latest:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    await asyncio.sleep(_MAX_SECONDS)
