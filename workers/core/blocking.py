"""Blocking work in threads that can be stopped: step by step, or by a check that the work calls often.

A thread cannot be ended from outside. A cancelled caller waits until the thread has stopped: then nothing computes for
a job that another worker has, and nothing writes into a folder that is gone.
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
    """Run `work` in a thread and return its result. If this is cancelled, the check that `work` is given raises."""
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
    """Yield what `work` does. A cancelled caller waits for the current step, then `work` is closed, with its files."""
    try:
        while (found := await finished(asyncio.create_task(asyncio.to_thread(next, work, None)))) is not None:
            yield found
    finally:
        await finished(asyncio.create_task(asyncio.to_thread(work.close)))


async def finished(step: asyncio.Task[T]) -> T:
    """Run one step and return its result; a cancelled caller waits for its end."""
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        await ended(step)
        raise


async def ended(task: asyncio.Task[T]) -> None:
    """Wait until the thread of `task` has ended, however often this is cancelled; discard what it raised."""
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    if not task.cancelled():
        task.exception()
