"""Ending tasks so that they have ended."""

from __future__ import annotations

import asyncio

_PATIENCE_SECONDS = 0.5


async def end(*tasks: asyncio.Task[object]) -> None:
    """Cancels tasks, again and again until each has ended, and takes what they raise.

    Once is not enough: a library, or `asyncio.wait_for` before Python 3.12, may swallow one that comes in the very
    moment in which what they wait for is done.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_PATIENCE_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
