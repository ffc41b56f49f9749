"""Host names that this server accepts, so that no other site can point a name of its own here (DNS rebinding).

A browser takes a server for the site whose name it asked for. Addresses, loopback names and the machine's own names
are always accepted; others have to be set.
"""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.errors import Misdirected
from app.core.hostnames import host_of, is_address, is_loopback
from app.core.settings import Settings
from app.http.responses import on_problem

# Requested by monitoring, under any name; `/metrics` has a rule of its own.
OPEN_PATHS = {"/healthz", "/readyz", "/metrics"}


class AllowedHosts:
    """ASGI middleware that answers 421 (`unknown_host`) to a request for another host, before anything else is checked.

    A request without a host, as in HTTP/1.0, does not come from a browser and passes.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._any = "*" in settings.hosts
        self._names = names_of(settings)
        self._within = tuple(name[1:] for name in self._names if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._any and scope["path"] not in OPEN_PATHS and not self._is_ours(scope):
            request: Request[Any] = Request(scope)
            answer = await on_problem(request, _unknown())
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        named = [value for name, value in scope["headers"] if name == b"host"]
        if not named:
            return True
        host = host_of(named[0].decode("latin-1")) if len(named) == 1 else None
        return host is not None and (
            host in self._names or is_address(host) or is_loopback(host) or host.endswith(self._within)
        )


def names_of(settings: Settings) -> set[str]:
    """Return the names that the settings allow, beside addresses and loopback names."""
    machine = socket.gethostname().lower()
    own = {machine, f"{machine.partition('.')[0]}.local"}
    public = urlsplit(settings.public_url).hostname
    return {*settings.hosts, *own, settings.host.lower(), *({public} if public else ())} - {""}


def _unknown() -> Misdirected:
    return Misdirected("This name is not one of this server's; whoever runs it can add it to SMARTVOICE_ALLOWED_HOSTS.")
