"""`/audios/{name}.mp3`: the audio, whole or in part (RFC 9110, Range), to its owner.

Where it is so set, its owner is given a signed link to the bucket instead, which holds for a short while.
"""

from __future__ import annotations

import re
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.auth.identity import identity_of
from app.core.errors import NotFound
from app.core.storage import paths
from app.endpoints import file_responses
from app.openapi.operation import Answer, Operations
from app.openapi.parameters import location
from app.state import State

_NAME = re.compile(r"[0-9a-f]{20}(-[0-9a-f]{20}){2}")


async def audio(request: Request[State]) -> Response:
    """As `app.endpoints.file_responses.send`, or 307 to the bucket, where that is set."""
    name = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise NotFound("There is no such audio.")
    path = paths.audio_path(identity_of(request).user, name)
    settings = request.state["settings"]
    # A link is signed for GET alone.
    if settings.audio_delivery == "redirect" and request.method == "GET":
        await request.state["storage"].size(path)
        link = await request.state["storage"].link(path, settings.audio_link_seconds)
        return RedirectResponse(link, headers={"Cache-Control": "no-store", "Vary": "Authorization, Cookie"})
    return await file_responses.send(request, path, "audio/mpeg")


_LINK = location("^https?://", "A signed link to the storage.")
_ELSEWHERE = Answer("It is at `Location` for a short while, where the server is so set.", headers=(_LINK,))
_WHOLE = file_responses.described("The audio of a chapter, whole or in part", "audio/mpeg")

OPERATIONS: Operations = {audio: replace(_WHOLE, answers={**_WHOLE.answers, 307: _ELSEWHERE})}
