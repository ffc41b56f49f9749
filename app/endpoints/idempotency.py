"""`Idempotency-Key`: the same request sent twice is done once and answered the same.

The answer is kept when the work is done. A process that dies in between leaves none: so what a request makes has an id
that follows from the key, and whoever asks again, when the lease of the dead one is over, finds it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.errors import BadRequest
from app.core.redis import keys
from app.core.redis.idempotency import StoredResponse
from app.state import State

_KEY = re.compile(r"[!-~]([ -~]{0,253}[!-~])?")


async def once(request: Request[State], body: str, act: Callable[[], Awaitable[Response]]) -> Response:
    """What `act` answers; what it answered before where the request bears a key that was used within a day.

    Raises Unprocessable (`idempotency_mismatch`) where the same key came with another request, Conflict
    (`idempotency_in_progress`) while the first is still being done, BadRequest (`bad_idempotency_key`).
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return await act()
    if not _KEY.fullmatch(key):
        raise BadRequest("An Idempotency-Key has 1 to 255 characters of ASCII.", code="bad_idempotency_key")
    asked = keys.digest(f"{request.method} {request.url.path}\n{body}")
    async with request.state["idempotent_responses"].turn(identity_of(request).user, key, asked) as turn:
        if turn.before is not None:
            return _repeated(turn.before)
        response = await act()
        turn.answer = StoredResponse(response.status_code, bytes(response.body), response.headers.get("location"))
    return response


def id_of(request: Request[State], made: str) -> str | None:
    """The id of what a request with an Idempotency-Key makes for `made`; None where it bears no key."""
    key = request.headers.get("idempotency-key")
    return keys.digest(f"{identity_of(request).user} {key} {made}")[:20] if key else None


def _repeated(before: StoredResponse) -> Response:
    headers = {"Cache-Control": "no-store"} | ({"Location": before.location} if before.location else {})
    return Response(before.body, status_code=before.status, media_type="application/json", headers=headers)
