"""Names that we answer to: a page of another site cannot make a name of its own point here (DNS rebinding).

A browser takes us for the site whose name it asked for. An address is nobody's name, so it is always ours, as loopback
names and this machine's own are; others have to be set.
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

# Asked for by whoever watches over us, under whatever name it has for us; `/metrics` has a rule of its own.
OPEN_PATHS = {"/healthz", "/readyz", "/metrics"}


class AllowedHosts:
    """ASGI middleware: a request for a host that is not ours is 421 (`unknown_host`), before anything is looked at.

    One that names none, as HTTP/1.0 may, comes from no browser.
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
    """The names that are ours by these settings, beside addresses and loopback names."""
    machine = socket.gethostname().lower()
    own = {machine, f"{machine.partition('.')[0]}.local"}
    public = urlsplit(settings.public_url).hostname
    return {*settings.hosts, *own, settings.host.lower(), *({public} if public else ())} - {""}


def _unknown() -> Misdirected:
    return Misdirected("This name is not one of this server's; whoever runs it can add it to SMARTVOICE_ALLOWED_HOSTS.")
