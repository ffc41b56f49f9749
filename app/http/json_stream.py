"""Large JSON responses, sent in parts: each is made when the client has taken those before it.

A client that does not read costs the connection's buffer and one part, however large the response is.
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
"""A response up to about this size is sent as a whole, with its length."""
_JSON = "application/json"


async def in_parts(
    parts: AsyncIterator[bytes], headers: Mapping[str, str], slot: AbstractAsyncContextManager[None]
) -> Response:
    """Make a response of `parts`. What the first parts raise is raised here, before anything is sent.

    `slot` is held while each later part is made.
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
    """A response that ends without its last chunk if a part cannot be made, so that the client sees it is truncated."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        except (Problem, RedisError) as error:
            # Returning without the end makes the server close the connection and log it.
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
