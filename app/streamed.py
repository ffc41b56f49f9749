"""JSON answers that may be large: sent in parts, each made when the client has taken those before it.

What a client does not read is then no more than the connection's buffer and one part, however large the answer is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response, StreamingResponse

_AT_ONCE = 32 * 1024
"""An answer up to about this size is sent whole, with its length."""
_JSON = "application/json"


async def in_parts(parts: AsyncIterator[bytes], headers: Mapping[str, str]) -> Response:
    """The answer that `parts` make together. What they raise at their beginning is raised here, before any is sent."""
    begun: list[bytes] = []
    size = 0
    async for part in parts:
        begun.append(part)
        size += len(part)
        if size > _AT_ONCE:
            return StreamingResponse(_rest(begun, parts), headers=dict(headers), media_type=_JSON)
    return Response(b"".join(begun), headers=dict(headers), media_type=_JSON)


async def _rest(begun: list[bytes], parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield b"".join(begun)
    begun.clear()
    async for part in parts:
        yield part
