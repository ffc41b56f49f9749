"""`/api/voices`: the voices of the configured engine, by language, as the workers told them."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from app.core import keys
from app.core.errors import Unavailable
from app.endpoints.replies import reply
from app.state import State


async def voices(request: Request[State]) -> Response:
    told = await request.state["redis"].get(keys.VOICES)
    if told is None:
        raise Unavailable("No worker has started yet.", code="engine_not_ready", retry_after=2)
    return reply(json.loads(told), headers={"Cache-Control": "private, max-age=60"})
