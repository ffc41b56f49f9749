"""JSON answers that may be large: sent in parts, each made when the client has taken those before it.

What a client does not read is then no more than the connection's buffer and one part, however large the answer is.
Each part is made while the user has a slot (see `app.routing`), and the slot is free while the client reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

import structlog
from redis.exceptions import RedisError
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from app.core.errors import Problem

logger = structlog.get_logger()

_AT_ONCE = 32 * 1024
"""An answer up to about this size is sent whole, with its length."""
_JSON = "application/json"


async def in_parts(
    parts: AsyncIterator[bytes], headers: Mapping[str, str], slot: AbstractAsyncContextManager[None]
) -> Response:
    """The answer that `parts` make together. What they raise at their beginning is raised here, before any is sent.

    `slot`: what is held while a part is made after that.
    """
    begun: list[bytes] = []
    size = 0
    async for part in parts:
        begun.append(part)
        size += len(part)
        if size > _AT_ONCE:
            return _Parts(_rest(begun, parts, slot), headers=dict(headers), media_type=_JSON)
    return Response(b"".join(begun), headers=dict(headers), media_type=_JSON)


class _Parts(StreamingResponse):
    """An answer that ends early, without its last chunk, where a part cannot be made: the client sees it is cut."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except (Problem, RedisError) as error:
            # Returning without an end makes the server close the connection, and say so.
            logger.warning("answer_cut_off", reason=str(error))


async def _rest(
    begun: list[bytes], parts: AsyncIterator[bytes], slot: AbstractAsyncContextManager[None]
) -> AsyncIterator[bytes]:
    yield b"".join(begun)
    begun.clear()
    while True:
        async with slot:
            part = await anext(parts, None)
        if part is None:
            return
        yield part
