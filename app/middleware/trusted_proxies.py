"""Headers of proxies about the client: believed from trusted proxies only."""

from __future__ import annotations

from typing import Any, cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware


class TrustedProxies:
    """ASGI middleware: `X-Forwarded-For`, `-Proto` and `-Host` become the request's client, scheme and host.

    The client is the last address of `X-Forwarded-For` that is no trusted proxy's (uvicorn's rule); the host is what
    the nearest proxy says.

    Args:
        trusted: addresses and networks of the proxies.
    """

    def __init__(self, app: ASGIApp, trusted: list[str]) -> None:
        # uvicorn has its own types for the same interface.
        self._app = ProxyHeadersMiddleware(cast(Any, app), trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client and client[0] in self._app.trusted_hosts:
            _take_host(scope)
        await self._app(cast(Any, scope), cast(Any, receive), cast(Any, send))


def _take_host(scope: Scope) -> None:
    told = Headers(scope=scope).get("x-forwarded-host", "").rpartition(",")[2].strip()
    if told:
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [*others, (b"host", told.encode("latin-1"))]
