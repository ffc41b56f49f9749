"""Ending tasks so that they have ended."""

from __future__ import annotations

import asyncio
from typing import Any

_PATIENCE_SECONDS = 0.5


async def done_within(future: asyncio.Future[Any], seconds: float) -> bool:
    """Waits for what others wait for, too; whether it was done by then. As `asyncio.wait`, at a third of its cost."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    timer = loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        future.remove_done_callback(wake)
    return future.done()


async def end(*tasks: asyncio.Task[object]) -> None:
    """Cancels tasks, again and again until each has ended, and takes what they raise.

    Once is not enough: a library, or `asyncio.wait_for` before Python 3.12, may swallow one that comes in the very
    moment in which what they wait for is done.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_PATIENCE_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
