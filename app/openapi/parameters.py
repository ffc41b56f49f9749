"""Parameters and headers that several endpoints share, each with the pattern that is really asked for."""

from __future__ import annotations

from typing import get_args

from app.core.vocabulary import Queue
from app.openapi.operation import JsonSchema, Parameter

ID: JsonSchema = {"type": "string", "pattern": "^[0-9a-f]{20}$"}
_CURSOR = "(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})"
CURSOR: JsonSchema = {
    "type": "string",
    "pattern": f"^{_CURSOR}$",
    "examples": ["1767225600-42"],
}
CURSOR_OR_NONE: JsonSchema = {**CURSOR, "pattern": f"^({_CURSOR})?$"}
MOMENT: JsonSchema = {"type": "string", "format": "date-time", "examples": ["2026-01-01T00:00:00.000Z"]}

IN_PATH: dict[str, tuple[JsonSchema, str]] = {
    "project": (ID, "Id of a project of one's own."),
    "chapter": (ID, "Id of one of the project's chapters."),
    "job": (ID, "Id of a job of one's own."),
    "session": (ID, "Id of one's own sign-in."),
    "queue": ({"type": "string", "enum": list(get_args(Queue))}, "The queue that the job is of."),
    "name": (
        {"type": "string", "pattern": "^[0-9a-f]{20}(-[0-9a-f]{20}){2}$"},
        "Name of the audio, as `audioUrl` has it.",
    ),
    "book": (
        {"type": "string", "pattern": "^[0-9a-f]{20}-[0-9a-f]{20}$"},
        "Name of the book, as `downloadUrl` has it.",
    ),
}
"""What each name in a path stands for, with its description."""

RETRY_AFTER = Parameter("Retry-After", {"type": "integer", "minimum": 0}, "Seconds after which to ask again.")
IF_NONE_MATCH = Parameter(
    "If-None-Match", {"type": "string"}, "`ETag` of the answer one has: 304 where it still holds."
)
ETAG = Parameter("ETag", {"type": "string", "pattern": '^(W/)?"[^"]*"$'}, "Names this version.", required=True)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    "The same key with the same request gets the first answer again for a day; with another request 422.",
)


def location(pattern: str, description: str) -> Parameter:
    """The header `Location`, which is always there."""
    return Parameter("Location", {"type": "string", "pattern": pattern}, description, required=True)
