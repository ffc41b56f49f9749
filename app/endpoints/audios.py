"""`/audios/{name}.mp3`: the audio, whole or in part (RFC 9110, Range), to its owner."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core import storage
from app.core.errors import NotFound
from app.endpoints import files
from app.openapi.operation import Operations
from app.state import State

_NAME = re.compile(r"[0-9a-f]{20}(-[0-9a-f]{20}){2}")


async def audio(request: Request[State]) -> Response:
    name = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise NotFound("There is no such audio.")
    return await files.send(request, storage.audio_path(identity_of(request).user, name), "audio/mpeg")


OPERATIONS: Operations = {audio: files.described("The audio of a chapter, whole or in part", "audio/mpeg")}
