"""`/audios/{name}.mp3`: the audio, whole or in part (RFC 9110, Range), to its owner.

Where it is so set, its owner is given a signed link to the bucket instead, which holds for a short while.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from app.auth.identity import identity_of
from app.core import storage
from app.core.errors import NotFound, OutOfRange
from app.endpoints.replies import problem
from app.openapi.operation import Answer, JsonSchema, Operation, Operations, Parameter
from app.openapi.parameters import ETAG, IF_NONE_MATCH, location
from app.state import State

_NAME = re.compile(r"[0-9a-f]{20}(-[0-9a-f]{20}){2}")
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


async def audio(request: Request[State]) -> Response:
    """200, 206 for one range, 304 where the client has it, 307 to the bucket, 416 for a range outside of it."""
    name = request.path_params["name"]
    if not _NAME.fullmatch(name):
        raise NotFound("There is no such audio.")
    path = storage.audio_path(identity_of(request).user, name)
    size, etag = await request.state["storage"].size(path)
    settings = request.state["settings"]
    # A link is signed for GET alone.
    if settings.audio_delivery == "redirect" and request.method == "GET":
        link = await request.state["storage"].link(path, settings.audio_link_seconds)
        return RedirectResponse(link, headers={"Cache-Control": "no-store", "Vary": "Authorization, Cookie"})
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "ETag": etag,
        "Vary": "Authorization, Cookie",
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    # What is not one range of bytes is left out of account, as RFC 9110 allows.
    if asked is None or asked[0] == "bytes=-" or request.headers.get("if-range", etag) != etag:
        return _part(request, path, 0, size, 200, headers)
    span = _span(asked[1], asked[2], size)
    if span is None:
        refused = problem(OutOfRange(f"The audio has {size} bytes."))
        refused.headers["Content-Range"] = f"bytes */{size}"
        return refused
    start, end = span
    return _part(request, path, start, end, 206, headers | {"Content-Range": f"bytes {start}-{end - 1}/{size}"})


def _part(request: Request[State], path: str, start: int, end: int, status: int, headers: dict[str, str]) -> Response:
    headers = headers | {"Content-Length": str(end - start)}
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type="audio/mpeg")
    chunks = request.state["storage"].chunks(path, start, end)
    return StreamingResponse(chunks, status, headers, media_type="audio/mpeg")


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    """Start and exclusive end of a range; None where there is nothing in it."""
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return (start, end) if start < end else None


_SOUND: dict[str, JsonSchema] = {"audio/mpeg": {"type": "string", "format": "binary"}}
_LINK = location("^https?://", "A signed link to the storage.")
_LENGTH: JsonSchema = {"type": "string", "pattern": r"^bytes \d+-\d+/\d+$"}

OPERATIONS: Operations = {
    audio: Operation(
        "The audio of a chapter, whole or in part",
        description="One range of bytes is answered; whatever else `Range` says is left out of account.",
        parameters=(
            Parameter("Range", {"type": "string", "examples": ["bytes=0-1023"]}, "The part that is wanted."),
            Parameter("If-Range", {"type": "string"}, "`ETag` of the parts one has: the whole where it has changed."),
            IF_NONE_MATCH,
        ),
        answers={
            200: Answer("The whole.", _SOUND, (ETAG,)),
            206: Answer("The part.", _SOUND, (ETAG, Parameter("Content-Range", _LENGTH, "Which.", required=True))),
            304: Answer("What one has still holds.", headers=(ETAG,)),
            307: Answer("It is at `Location` for a short while, where the server is so set.", headers=(_LINK,)),
        },
        problems={416: ["out_of_range"], 503: ["storage_unavailable"]},
    ),
}
