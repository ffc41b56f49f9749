"""Work that blocks, done step by step in threads, so that between the steps one can report, and stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress


async def in_threads(work: Generator[int]) -> AsyncGenerator[int]:
    """What `work` yields. Who is cancelled waits for the step under way, and `work` is closed: its files are let go."""
    try:
        while (found := await _finished(asyncio.create_task(asyncio.to_thread(next, work, None)))) is not None:
            yield found
    finally:
        await _finished(asyncio.create_task(asyncio.to_thread(work.close)))


async def _finished(step: asyncio.Task[int | None] | asyncio.Task[None]) -> int | None:
    """What the step returns; one that is cancelled here does not go before it has ended."""
    try:
        return await asyncio.shield(step)
    except asyncio.CancelledError:
        while not step.done():
            # Who is told to end is told again and again.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([step])
        raise
