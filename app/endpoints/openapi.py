"""`/openapi.json`: the description of all of this, for programs; `/docs` shows it to people."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Any

from pydantic import RootModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from app.core.json_model import compact
from app.core.settings import Settings
from app.openapi.document import document
from app.openapi.operation import JSON, Answer, Operation, Operations
from app.state import State


class Description(RootModel[dict[str, Any]]):
    """An OpenAPI document."""


async def openapi(request: Request[State]) -> Response:
    text = await asyncio.to_thread(_text, request.app, request.state["settings"])
    return Response(text, media_type=JSON, headers={"Cache-Control": "no-cache"})


@lru_cache(maxsize=1)
def _text(app: Starlette, settings: Settings) -> str:
    return compact(document(app.routes, settings))


OPERATIONS: Operations = {
    openapi: Operation("This description", answers={200: Answer("OpenAPI 3.1.", Description)}),
}
