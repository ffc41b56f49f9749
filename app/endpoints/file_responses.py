"""Files from the storage, whole or in part (RFC 9110, Range), and how they describe themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.core.errors import OutOfRange
from app.core.etags import is_known
from app.http.responses import problem
from app.openapi.operation import Answer, JsonSchema, Operation, Parameter
from app.openapi.parameters import ETAG, IF_NONE_MATCH
from app.state import State

_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_LENGTH: JsonSchema = {"type": "string", "pattern": r"^bytes \d+-\d+/\d+$"}


async def send(request: Request[State], path: str, kind: str, more: Mapping[str, str] | None = None) -> Response:
    """200, 206 for one range, 304 where the client has it, 416 for a range outside of it; `kind` is the media type.

    Raises NotFound, Unavailable.
    """
    size, version = await request.state["storage"].size(path)
    etag = request.state["etags"].of(version)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=3600",
        "ETag": etag,
        "Vary": "Authorization, Cookie",
        **(more or {}),
    }
    if is_known(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    # What is not one range of bytes is left out of account, as RFC 9110 allows.
    if asked is None or asked[0] == "bytes=-" or request.headers.get("if-range", etag) != etag:
        return _part(request, path, (0, size), 200, headers | {"Content-Type": kind})
    span = _span(asked[1], asked[2], size)
    if span is None:
        refused = problem(OutOfRange(f"The file has {size} bytes."))
        refused.headers["Content-Range"] = f"bytes */{size}"
        return refused
    start, end = span
    which = {"Content-Type": kind, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
    return _part(request, path, span, 206, headers | which)


def described(summary: str, kind: str, description: str = "", headers: tuple[Parameter, ...] = ()) -> Operation:
    """The operation of an endpoint that answers with `send`."""
    content: dict[str, JsonSchema] = {kind: {"type": "string", "format": "binary"}}
    which = Parameter("Content-Range", _LENGTH, "Which.", required=True)
    return Operation(
        summary,
        description="One range of bytes is answered; whatever else `Range` says is left out of account. " + description,
        parameters=(
            Parameter("Range", {"type": "string", "examples": ["bytes=0-1023"]}, "The part that is wanted."),
            Parameter("If-Range", {"type": "string"}, "`ETag` of the parts one has: the whole where it has changed."),
            IF_NONE_MATCH,
        ),
        answers={
            200: Answer("The whole.", content, (ETAG, *headers)),
            206: Answer("The part.", content, (ETAG, which, *headers)),
            304: Answer("What one has still holds.", headers=(ETAG,)),
        },
        problems={416: ["out_of_range"], 503: ["storage_unavailable"]},
    )


def _part(request: Request[State], path: str, span: tuple[int, int], status: int, headers: dict[str, str]) -> Response:
    start, end = span
    headers = headers | {"Content-Length": str(end - start)}
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(request.state["storage"].chunks(path, start, end), status, headers)


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    """Start and exclusive end of a range; None where there is nothing in it."""
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    return (start, end) if start < end else None
