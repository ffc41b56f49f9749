"""Admission of readers: one too many is refused, nobody is evicted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.errors import Unavailable
from app.streaming.reader import Reader
from app.streaming.state import StreamingState


def admit(state: StreamingState) -> None:
    """Raise Unavailable (`draining`, `too_many_streams`) if this process takes no readers."""
    if state["drain"].started:
        raise Unavailable("This server is going away; connect again.", code="draining", retry_after=1)
    if state["stream_slots"].total >= state["settings"].max_streams:
        raise Unavailable("This server holds as many streams as it can.", code="too_many_streams", retry_after=5)


@asynccontextmanager
async def admitted(state: StreamingState, user: str) -> AsyncIterator[Reader]:
    """Yield a reader within the limits.

    Raises Unavailable (`draining`, `too_many_streams`, `redis_unavailable`), TooMany (`too_many_streams`); RedisError.
    """
    admit(state)
    async with state["stream_slots"].slot(user), state["hub"].reader(user) as reader:
        yield reader
