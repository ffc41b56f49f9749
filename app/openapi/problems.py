"""What an operation can refuse, and how: problem documents (RFC 9457), whose `code` says which it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.core.errors import Problem as Raised
from app.middleware.allowed_hosts import OPEN_PATHS
from app.openapi.operation import FORM, JSON, PROBLEM, Operation, media
from app.openapi.parameters import RETRY_AFTER
from app.routing import AuthenticatedRoute

REDIS = ("redis_refused", "redis_unavailable")
CREDENTIAL = ("account_disabled", "bad_scheme", "bad_token", "signed_out", "token_in_url", "unauthenticated")
_SAFE = {"GET", "HEAD"}
_OF_BODIES: dict[str, dict[int, Sequence[str]]] = {
    JSON: {400: ["bad_json", "cut_off"], 413: ["body_too_large"], 415: ["not_json"], 422: ["invalid"]},
    FORM: {400: ["bad_form", "cut_off"], 413: ["body_too_large"], 422: ["invalid"], 503: ["storage_unavailable"]},
}
_TITLES = {kind.status: kind.title for kind in Raised.__subclasses__()}
_WAYS_IN = {"schema": {"type": "string"}, "required": True, "description": "How one may come in."}


class Fault(BaseModel):
    """One field of a body that is not as it should be."""

    field: str
    message: str


class Problem(BaseModel):
    """Why something is refused (RFC 9457). `code` is stable; `detail` says to people what was wrong and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[Fault] = []
    limit: int | None = None


def problems_of(operation: Operation, method: str, route: object) -> dict[int, set[str]]:
    """The codes by status: those that the operation names, and those that follow from its route and bodies."""
    found: dict[int, set[str]] = {}
    for part in [operation.problems, *_of_route(method, route), *_of_body(operation)]:
        for status, codes in part.items():
            found.setdefault(status, set()).update(codes)
    return found


def _of_route(method: str, route: object) -> Iterable[Mapping[int, Sequence[str]]]:
    if getattr(route, "path", None) not in OPEN_PATHS:
        yield {421: ["unknown_host"]}
    if not isinstance(route, AuthenticatedRoute):
        return
    yield {400: ["bad_query"], 401: CREDENTIAL, 503: ["keys_unavailable", *REDIS]}
    if route.param_convertors:
        yield {404: ["not_found"]}
    if method not in _SAFE:
        # A change that is asked for with the cookie, by another site.
        yield {403: ["foreign_origin"]}
    if not route.waits:
        yield {429: ["too_many_at_once"]}
    if route.rates:
        yield {429: [f"too_many_{rate}" for rate in route.rates]}


def _of_body(operation: Operation) -> Iterable[Mapping[int, Sequence[str]]]:
    for kind in media(operation.body):
        yield _OF_BODIES[kind]


def response(status: int, codes: Iterable[str]) -> dict[str, Any]:
    """The OpenAPI response for a status that is refused with one of these codes."""
    listed = sorted(codes)
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": listed}}}]}
    headers: dict[str, Any] = {}
    if status in (409, 429, 503):
        headers["Retry-After"] = {"schema": dict(RETRY_AFTER.schema), "description": RETRY_AFTER.description}
    if status == 401:
        headers["WWW-Authenticate"] = _WAYS_IN
    said = f"{_TITLES.get(status, 'Refused')}: {', '.join(f'`{code}`' for code in listed)}."
    return {"description": said, "content": {PROBLEM: {"schema": schema}}} | ({"headers": headers} if headers else {})
