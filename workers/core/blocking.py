"""Work that blocks, done in threads so that it can be stopped: step by step, or by a check that it calls often.

No thread can be ended from outside. Whoever is cancelled waits until the thread has stopped: then nothing computes any
more for a job that is another's, and nothing writes into a folder that is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from threading import Event
from typing import TypeVar

from workers.core.cancellation import Check, Stopped

T = TypeVar("T")


async def in_thread(work: Callable[[Check], T]) -> T:
    """What `work` returns, done in a thread. Where this is cancelled, `work` is told by the check that it is given."""
    stopped = Event()

    def check() -> None:
        if stopped.is_set():
            raise Stopped

    task = asyncio.create_task(asyncio.to_thread(work, check))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stopped.set()
        await ended(task)
        raise


async def in_threads(work: Generator[int]) -> AsyncGenerator[int]:
    """What `work` yields. Who is cancelled waits for the step under way, and `work` is closed: its files are let go."""
    try:
        while (found := await finished(asyncio.create_task(asyncio.to_thread(next, work, None)))) is not None:
            yield found
    finally:
        await finished(asyncio.create_task(asyncio.to_thread(work.close)))


async def finished(step: asyncio.Task[T]) -> T:
    """What the step returns; one that is cancelled here does not go before it has ended."""
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await ended(step)
        raise


async def ended(task: asyncio.Task[T]) -> None:
    """Returns when the thread of `task` has ended, however often its caller is told to end; drops what it raised."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
