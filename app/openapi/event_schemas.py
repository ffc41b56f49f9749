"""What events look like on the wire, for the description of the interface: each type's data, on a stream and polled."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from app.core.jobs.models import ErrorDetail, Job
from app.core.jobs.progress import Progress
from app.core.json_model import Model
from app.core.projects.models import LeftOut
from app.core.status.service import Status
from app.core.vocabulary import BookFormat
from app.openapi.parameters import CURSOR

_ID = {**CURSOR, "description": "Id of the event, and the cursor behind it."}
_RETRY = {"type": "integer", "minimum": 0, "description": "Milliseconds to wait before coming back."}


class StoredData(Model):
    """What the data of every stored event has. `at` is RFC 3339 in UTC."""

    project_id: str
    at: str


class EventData(StoredData):
    """What the data of a job's event has."""

    job_id: str
    attempt: int


class ParseProgress(EventData):
    """How far the parsing of a manuscript is."""

    progress: Progress


class ParseComplete(EventData):
    """A manuscript was parsed into so many chapters, with so many characters in all.

    Of the manuscript's own visible characters, so many came in, so many are spoken, and the rest is left out.
    """

    chapters: int
    characters: int
    characters_in: int = 0
    characters_spoken: int = 0
    left_out: list[LeftOut] = Field(default_factory=list)


class ParseFailed(EventData):
    """A manuscript could not be parsed."""

    error: ErrorDetail


class ParseCancelled(EventData):
    """The parsing of a manuscript was called off."""


class AudioProgress(EventData):
    """How far the narration of a chapter is."""

    chapter_id: str
    progress: Progress


class AudioComplete(EventData):
    """The audio of a chapter is there, at `audioUrl`."""

    chapter_id: str
    audio_url: str
    duration_seconds: float


class AudioFailed(EventData):
    """A chapter could not be narrated."""

    chapter_id: str
    error: ErrorDetail


class AudioCancelled(EventData):
    """The narration of a chapter was called off."""

    chapter_id: str


class ProjectChanged(StoredData):
    """The chapters of a project are others than before: one was split, or merged with another. Load it again.

    `gone`: the ids of chapters that are no more, and with them their jobs.
    """

    gone: list[str]


class BookProgress(EventData):
    """How far the book's file is."""

    format: BookFormat
    progress: Progress


class BookComplete(EventData):
    """The book is there, at `downloadUrl`; `missing` are the positions of chapters that it lacks."""

    format: BookFormat
    download_url: str
    bytes: int
    duration_seconds: float
    chapters: int
    missing: list[int]


class BookFailed(EventData):
    """The book could not be put together."""

    format: BookFormat
    error: ErrorDetail


class BookCancelled(EventData):
    """The book was called off."""

    format: BookFormat


class Ready(Model):
    """First on every stream: from where on it tells, and how long it is silent at most."""

    cursor: str
    connection_id: str
    heartbeat_seconds: float


class Heartbeat(Model):
    """Nothing has happened; the stream lives."""


class Reset(Model):
    """What was asked for is gone: the state of all jobs, and the cursor that goes on from it."""

    cursor: str
    jobs: list[Job]


class Goodbye(Model):
    """The server is going away: connect again after so many milliseconds."""

    retry_ms: int


class Reauth(Model):
    """The credential ends in so many seconds."""

    seconds_left: int


STORED: dict[str, type[StoredData]] = {
    "parse:progress": ParseProgress,
    "parse:complete": ParseComplete,
    "parse:failed": ParseFailed,
    "parse:cancelled": ParseCancelled,
    "audio:progress": AudioProgress,
    "audio:complete": AudioComplete,
    "audio:failed": AudioFailed,
    "audio:cancelled": AudioCancelled,
    "project:changed": ProjectChanged,
    "book:progress": BookProgress,
    "book:complete": BookComplete,
    "book:failed": BookFailed,
    "book:cancelled": BookCancelled,
}
"""The types of the events that a log keeps."""

CONTROL: dict[str, type[Model]] = {
    "ready": Ready,
    "heartbeat": Heartbeat,
    "reset": Reset,
    "goodbye": Goodbye,
    "reauth": Reauth,
    "status": Status,
}
"""The types that only a stream has. Those that move the cursor have an id."""

EVENT_MODELS: list[type[BaseModel]] = [*STORED.values(), *CONTROL.values()]


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _framed(type: str, data: type[BaseModel]) -> dict[str, Any]:
    """An event's fields on a stream, of which `data` is JSON within a text."""
    content = {"type": "string", "contentMediaType": "application/json", "contentSchema": _ref(data.__name__)}
    fields: dict[str, Any] = {"event": {"const": type}, "data": content}
    if type in STORED or type in {"ready", "reset"}:
        fields["id"] = _ID
    required = [*fields]
    if type in {"ready", "goodbye"}:
        # Comes with these, but it is the connection's: few parsers hand it on with the event.
        fields["retry"] = _RETRY
    return {"type": "object", "properties": fields, "required": required}


def _polled(type: str, data: type[BaseModel]) -> dict[str, Any]:
    fields = {"id": _ID, "type": {"const": type}, "data": _ref(data.__name__)}
    return {"type": "object", "properties": fields, "required": [*fields]}


EVENT_SCHEMAS: dict[str, Any] = {
    "Event": {
        "description": "An event as the long poll has it.",
        "oneOf": [_polled(type, data) for type, data in STORED.items()],
    },
    "ServerSentEvent": {
        "description": "An event as the stream has it: the fields that stand before the colons. Its `data` is JSON.",
        "oneOf": [_framed(type, data) for type, data in {**CONTROL, **STORED}.items()],
    },
    "Polled": {
        "description": "What has happened past a cursor; `reset` where that is gone.",
        "type": "object",
        "properties": {
            "events": {"type": "array", "items": _ref("Event")},
            "cursor": CURSOR,
            "reset": {"anyOf": [_ref("Reset"), {"type": "null"}]},
        },
        "required": ["events", "cursor", "reset"],
    },
}
"""Schemas that no model has: an event's type decides what its data is."""

STREAMED, POLLED = _ref("ServerSentEvent"), _ref("Polled")
