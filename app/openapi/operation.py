"""The words in which an endpoint describes itself: what it takes, what it answers, what can go wrong.

Each module of `app.endpoints` ends with `OPERATIONS`, which has an `Operation` for each of its endpoints. What follows
from the route itself (path parameters, credentials, rates) is added by `app.openapi.document`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from app.routing import Endpoint

JsonSchema = Mapping[str, Any]
Shape = type[BaseModel] | JsonSchema
"""What a body looks like: a model, or a schema as it is to stand in the document."""

JSON = "application/json"
FORM = "multipart/form-data"
STREAM = "text/event-stream"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Setting:
    """Stands in a schema for the value of a setting."""

    name: str


@dataclass(frozen=True)
class Parameter:
    """One parameter of the query or header of a request, or a header of an answer."""

    name: str
    schema: JsonSchema
    description: str
    place: Literal["query", "header"] = "header"
    required: bool = False


@dataclass(frozen=True)
class Answer:
    """One answer that is no problem; `content` is a model for JSON, or what each media type has."""

    description: str
    content: type[BaseModel] | Mapping[str, Shape] | None = None
    headers: tuple[Parameter, ...] = ()

    @property
    def media(self) -> Mapping[str, Shape]:
        return media(self.content)


@dataclass(frozen=True)
class Operation:
    """What an endpoint does.

    Args:
        answers: by status.
        body: a model for JSON, or a shape for each media type that is taken.
        problems: codes by status, beside those that follow from the route and the body.
    """

    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | Mapping[str, Shape] | None = None
    body_required: bool = True
    problems: Mapping[int, Sequence[str]] = field(default_factory=dict)


Operations = Mapping[Endpoint, Operation]


def media(content: type[BaseModel] | Mapping[str, Shape] | None) -> Mapping[str, Shape]:
    """The shapes of a body by media type."""
    if content is None:
        return {}
    return content if isinstance(content, Mapping) else {JSON: content}
