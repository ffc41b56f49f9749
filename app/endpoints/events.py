"""`GET /api/events`: the user's log from a cursor on, as SSE or by long poll."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.auth.credential import Identity
from app.auth.identity import identity_of
from app.core.errors import BadRequest, NotFound, TooMany
from app.core.eventlog.cursor import Cursor, parse
from app.core.telemetry.metrics import COUNTS
from app.endpoints.status import check_admin
from app.middleware.request_metrics import REQUEST_ID
from app.openapi.event_schemas import POLLED, STREAMED
from app.openapi.operation import JSON, STREAM, Answer, Operation, Operations, Parameter, Setting
from app.openapi.parameters import CURSOR, CURSOR_OR_NONE, ID
from app.server.detach import connection_of
from app.state import State
from app.streaming.admission import admit, admitted
from app.streaming.longpoll import answer, poll
from app.streaming.sse import Stream
from app.streaming.wire import HEADERS

_WAIT_SECONDS = 25.0
_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")


async def events(request: Request[State]) -> Response:
    """A stream, unless only JSON is accepted.

    Raises BadRequest (`bad_cursor`, `bad_wait`, `bad_query`), Forbidden (`not_admin`), NotFound, TooMany and
    Unavailable (`too_many_streams`).
    """
    identity = identity_of(request)
    after = _after(request)
    _check_query(request)
    projects = await _projects(request, identity)
    if projects is None:
        # An EventSource that comes back for what is deleted is told to stop: 204 does that, without an error.
        return Response(status_code=204)
    if _wants_json(request):
        return await _poll(request, identity, after, projects)
    if request.method == "HEAD":
        return Response(media_type="text/event-stream", headers=HEADERS)
    watches = _watches(request)
    admit(request.state)
    _check_room(request)
    stream = await request.state["streams"].open(identity, after, projects)
    stream.request, stream.watches = request.scope.get(REQUEST_ID, ""), watches
    return StreamResponse(stream)


class StreamResponse(EventSourceResponse):
    """A stream's response: the head is sent as any other, then the stream takes the connection over, and the request's
    task ends.

    What the class it comes from adds to a body (a task group, pings, timeouts) is done for all streams together by the
    hub and its wheel, and cost most of a stream's memory.
    """

    def __init__(self, stream: Stream) -> None:
        self.status_code = 200
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets go of the stream where its client has gone meanwhile."""
        taken = False
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": _HEAD})
            taken = connection_of(scope).detach(self._stream)
        finally:
            if not taken:
                self._stream.release()


async def _nothing() -> AsyncIterator[bytes]:
    """The body comes from elsewhere."""
    return
    yield b""


def _head() -> list[tuple[bytes, bytes]]:
    """A stream that has ended leaves nothing on its connection to go on with; the class itself says `keep-alive`."""
    response = EventSourceResponse(_nothing(), headers=HEADERS, ping=0)
    response.headers["Connection"] = "close"
    return response.raw_headers


_HEAD = _head()


async def _poll(
    request: Request[State], identity: Identity, after: Cursor | None, projects: frozenset[str]
) -> Response:
    wait = min(_wait(request), max(0.0, identity.seconds_left))
    if after is None:
        return answer([], await request.state["log"].top(identity.user))
    with request.state["credential_watcher"].held(identity) as lease:
        async with admitted(request.state, identity.user) as reader, _polling():
            return await _answered(request, after, poll(request.state, lease, reader, after, wait, projects))


@asynccontextmanager
async def _polling() -> AsyncIterator[None]:
    COUNTS.polls += 1
    try:
        yield
    finally:
        COUNTS.polls -= 1


async def _answered(request: Request[State], after: Cursor, polling: Coroutine[Any, Any, Response]) -> Response:
    """The poll's answer, unless the client goes before.

    One that sends nothing more may have gone: it is not kept waiting, nor its place.
    """
    answering = asyncio.create_task(polling)
    leaving = asyncio.create_task(_left(request))
    half_closed = asyncio.Event()
    connection_of(request.scope).on_half_close(half_closed.set)
    closing = asyncio.create_task(half_closed.wait())
    try:
        await asyncio.wait([answering, leaving, closing], return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        return Response(status_code=204) if leaving.done() else answer([], after)
    finally:
        # Who left holds no place any longer.
        answering.cancel()
        leaving.cancel()
        closing.cancel()


async def _left(request: Request[State]) -> None:
    """Returns when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _wants_json(request: Request[State]) -> bool:
    accept = request.headers.get("accept", "*/*")
    return "application/json" in accept and "text/event-stream" not in accept


def _check_room(request: Request[State]) -> None:
    if not connection_of(request.scope).has_stream_room():
        raise TooMany("There are too many streams from this address.", code="too_many_streams", retry_after=5)


def _after(request: Request[State]) -> Cursor | None:
    """What a reconnecting EventSource says, in its header or, as event-source-polyfill does, in `lastEventId`, is newer
    than what stood in its URL from the start. An empty id is none (WHATWG HTML, server-sent events)."""
    told = request.headers.get("last-event-id") or None
    if told is None and request.scope["query_string"]:
        told = request.query_params.get("lastEventId") or request.query_params.get("after")
    return None if told is None else parse(told)


async def _projects(request: Request[State], identity: Identity) -> frozenset[str] | None:
    """The projects that are asked for and there; None where all of them are deleted, so that nothing can come."""
    asked = identity.projects
    if request.scope["query_string"]:
        asked = frozenset(request.query_params.getlist("project")) or asked
    if not asked:
        return asked
    if identity.projects and not asked <= identity.projects:
        raise NotFound("There is no such project for this ticket.")
    if len(asked) > request.state["settings"].max_projects:
        raise BadRequest("That is more projects than one can have.", code="too_many_projects")
    there = set()
    for project in asked:
        standing = await request.state["projects"].standing(identity.user, project)
        if standing == "unknown":
            raise NotFound("There is no such project.")
        if standing == "there":
            there.add(project)
    return frozenset(there) or None


def _check_query(request: Request[State]) -> None:
    """Check what this request does not need, too: a parameter of the other way, a cursor that another goes before."""
    if request.scope["query_string"]:
        _wait(request)
        if last := request.query_params.get("lastEventId"):
            parse(last)
        if (after := request.query_params.get("after")) is not None:
            parse(after)
        if request.query_params.get("status", "true") != "true":
            raise BadRequest("`status` is `true`, or left out.", code="bad_query")


def _watches(request: Request[State]) -> bool:
    """Whether how the service is is to be told as well."""
    if not request.scope["query_string"] or request.query_params.get("status") != "true":
        return False
    check_admin(request)
    return True


def _wait(request: Request[State]) -> float:
    longest = request.state["settings"].max_wait_seconds
    told = request.query_params.get("wait")
    if told is None:
        return min(_WAIT_SECONDS, longest)
    wait = float(told) if _NUMBER.fullmatch(told) else math.nan
    if not 0 <= wait <= longest:
        raise BadRequest(f"`wait` is seconds, from 0 to {longest:g}.", code="bad_wait")
    return wait


OPERATIONS: Operations = {
    events: Operation(
        "One's events: as a stream, or by long poll",
        description=(
            "With `Accept: application/json` the long poll, which answers as soon as anything is newer than `after`, "
            "and without `after` at once; else the stream, which goes on until the credential or the connection ends. "
            "Both tell the same events under the same ids. On the stream the first event is `ready`; the schema of "
            "`text/event-stream` is that of one event, of which there is no end."
        ),
        parameters=(
            Parameter("after", CURSOR, "The last event seen; what comes after it is told.", "query"),
            Parameter(
                "Last-Event-ID",
                CURSOR_OR_NONE,
                "The same, as an EventSource says it; it goes before `after`. Empty: none.",
            ),
            Parameter(
                "lastEventId",
                CURSOR_OR_NONE,
                "The same, as event-source-polyfill says it; it goes before `after`.",
                "query",
            ),
            Parameter("project", {"type": "array", "items": ID}, "Only what concerns these projects.", "query"),
            Parameter(
                "status",
                {"type": "string", "enum": ["true"]},
                "On a stream: how the service is, too, as `status` every two seconds; for administrators.",
                "query",
            ),
            Parameter(
                "wait",
                {"type": "number", "minimum": 0, "maximum": Setting("max_wait_seconds")},
                "How many seconds the long poll may wait; 25 where nothing is said.",
                "query",
            ),
        ),
        answers={
            200: Answer("The events.", {JSON: POLLED, STREAM: STREAMED}),
            204: Answer("All the projects are deleted: nothing can come, and an EventSource is to stop."),
        },
        problems={
            400: ["bad_cursor", "bad_wait", "too_many_projects"],
            401: ["ticket_used"],
            403: ["not_admin"],
            404: ["not_found"],
            429: ["too_many_streams"],
            503: ["draining", "too_many_streams"],
        },
    ),
}
