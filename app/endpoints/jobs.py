"""`/api/jobs/{queue}/{job}`: how a job is, and calling it off."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack, suppress

from starlette.requests import Request
from starlette.responses import Response

from app.auth.identity import identity_of
from app.core.errors import TooMany, Unavailable
from app.core.etags import is_known
from app.core.jobs.models import Job
from app.http.responses import reply
from app.openapi.operation import Answer, Operation, Operations, Parameter
from app.openapi.parameters import ETAG, IF_NONE_MATCH, RETRY_AFTER
from app.state import State
from app.streaming.admission import admitted
from app.streaming.reader import Gone

_WAIT = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?:,|;|$)")
_RETRY_SECONDS = {"waiting": 2, "active": 1}


async def status(request: Request[State]) -> Response:
    """The job; 304 where `If-None-Match` has its version; with `Prefer: wait` (RFC 7240) as soon as it changes."""
    wait = _preferred_wait(request)
    if not wait and "if-none-match" in request.headers:
        # Whoever asks again and again is mostly told that nothing has changed: that needs no more than the version.
        user, params = identity_of(request).user, request.path_params
        version, state = await request.state["jobs"].version(user, params["queue"], params["job"])
        if _matches(request, version):
            return Response(status_code=304, headers=_headers(version, state))
    job = await _find(request)
    applied = {}
    if wait and job.state in _RETRY_SECONDS and _unchanged(request, job):
        # To wait is a wish, not an order: where there is no place for one who waits, the answer comes at once.
        with suppress(TooMany, Unavailable):
            job = await _changed(request, job, wait)
            applied = {"Preference-Applied": f"wait={wait:.0f}"}
    headers = _headers(job.version, job.state) | applied
    if _matches(request, job.version):
        return Response(status_code=304, headers=headers)
    return reply(job, headers=headers)


async def cancel(request: Request[State]) -> Response:
    """202 with the job, whether it had ended already or not."""
    user, params = identity_of(request).user, request.path_params
    job = await request.state["jobs"].cancel(user, params["queue"], params["job"])
    return reply(job.json_dict(), 202)


async def _find(request: Request[State]) -> Job:
    params = request.path_params
    return await request.state["jobs"].get(identity_of(request).user, params["queue"], params["job"])


async def _changed(request: Request[State], job: Job, wait: float) -> Job:
    """The job once it is no longer at the same version, or after `wait` seconds. Raises Unauthenticated."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    version = job.version
    identity = identity_of(request)
    async with AsyncExitStack() as stack:
        lease = stack.enter_context(request.state["credential_watcher"].held(identity))
        reader = await stack.enter_async_context(admitted(request.state, identity.user))
        cursor = await request.state["log"].top(identity.user)
        while (job := await _find(request)).version == version and (left := deadline - loop.time()) > 0:
            lease.check()
            try:
                entries = await reader.read(cursor, left)
            except Gone:
                break
            lease.check()
            cursor = entries[-1].id if entries else cursor
            if request.state["drain"].started:
                break
    return job


def _preferred_wait(request: Request[State]) -> float:
    match = _WAIT.search(request.headers.get("prefer", ""))
    return min(float(match[1]), request.state["settings"].max_wait_seconds) if match else 0.0


def _headers(version: str, state: str) -> dict[str, str]:
    headers = {"ETag": f'"{version}"', "Cache-Control": "private, no-cache", "Vary": "Prefer"}
    return headers | ({"Retry-After": str(_RETRY_SECONDS[state])} if state in _RETRY_SECONDS else {})


def _matches(request: Request[State], version: str) -> bool:
    return is_known(request.headers.getlist("if-none-match"), f'"{version}"')


def _unchanged(request: Request[State], job: Job) -> bool:
    """Without an ETag the client waits for a change from now on; with one, for a change from what it has."""
    return "if-none-match" not in request.headers or _matches(request, job.version)


_APPLIED = Parameter("Preference-Applied", {"type": "string"}, "Says that the wish to wait was granted.")

OPERATIONS: Operations = {
    status: Operation(
        "How a job is",
        parameters=(
            IF_NONE_MATCH,
            Parameter(
                "Prefer",
                {"type": "string", "examples": ["wait=20"]},
                "`wait=20` answers as soon as the job changes, or after 20 seconds (RFC 7240).",
            ),
        ),
        answers={
            200: Answer("The job.", Job, (ETAG, RETRY_AFTER, _APPLIED)),
            304: Answer("What one has still holds.", headers=(ETAG, RETRY_AFTER, _APPLIED)),
        },
    ),
    cancel: Operation(
        "Call a job off",
        description="Again and again the same. The job stays there to be asked for.",
        answers={202: Answer("The job, which has ended.", Job)},
    ),
}
