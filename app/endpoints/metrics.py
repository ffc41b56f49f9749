"""`/metrics`: what is counted, for Prometheus, by all processes of this machine."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import Response

from app.core.errors import Forbidden, Unauthenticated
from app.core.hostnames import host_of, is_loopback
from app.core.status.exposition import CONTENT_TYPE
from app.openapi.operation import Answer, Operation, Operations
from app.state import State

_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")


async def metrics(request: Request[State]) -> Response:
    _check(request)
    text = await request.state["metrics"]()
    return Response(text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})


def _check(request: Request[State]) -> None:
    """With a token set, that token, from wherever; without one, this machine alone.

    A proxy on this machine is this machine to us, so what came through one is refused.
    Raises Unauthenticated (`bad_token`), Forbidden (`not_from_here`).
    """
    token = request.state["settings"].metrics_token.get_secret_value()
    if token:
        scheme, _, told = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(told.strip().encode(), token.encode()):
            raise Unauthenticated("The metrics want their own bearer token.", code="bad_token")
        return
    # By a name of this machine alone: a page of another site may have made a name of its own point here.
    named = host_of(request.headers.get("host", "localhost"))
    here = request.client is not None and is_loopback(request.client.host)
    if not here or named is None or not is_loopback(named) or any(name in request.headers for name in _FORWARDED):
        raise Forbidden("Metrics are for this machine alone; set SMARTVOICE_METRICS_TOKEN.", code="not_from_here")


OPERATIONS: Operations = {
    metrics: Operation(
        "Metrics for Prometheus",
        description=(
            "Of all processes of this machine. Where SMARTVOICE_METRICS_TOKEN is set it is wanted as a bearer token; "
            "where it is not, only this machine is told, and not through a proxy."
        ),
        answers={200: Answer("In Prometheus' text format.", {"text/plain": {"type": "string"}})},
        problems={401: ["bad_token"], 403: ["not_from_here"]},
    ),
}
