"""`/api/voices`: the voices of the configured engine, by language, as the workers told them."""

from __future__ import annotations

import json

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import Unavailable
from app.core.json_model import Model
from app.core.redis import keys
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations
from app.state import State


class Voice(Model):
    """A voice; a project's `voice` is its `id`."""

    id: str
    name: str


class Voices(Model):
    """The voices of the engine by language; those of `mul` read any."""

    engine: str
    voices: dict[str, list[Voice]]


async def voices(request: Request[State]) -> Response:
    told = await request.state["redis"].get(keys.VOICES)
    if told is None:
        raise Unavailable("No worker has started yet.", code="engine_not_ready", retry_after=2)
    return reply(json.loads(told), headers={"Cache-Control": "private, max-age=60"})


OPERATIONS: Operations = {
    voices: Operation(
        "The voices there are",
        answers={200: Answer("By language.", Voices)},
        problems={503: ["engine_not_ready"]},
    ),
}
