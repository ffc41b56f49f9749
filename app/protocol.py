"""uvicorn's HTTP protocol, fit for many long streams: small buffers, and connections that can be cut off.

Closing a connection means to send first what is still to be sent; to a client that does not read, that is never over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_EXTENSION = "smartvoice.abort"
_BUFFER_BYTES = 8 * 1024


class Protocol(HttpToolsProtocol):
    """Offers the ASGI extension `smartvoice.abort` with each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's is
        super().connection_made(transport)
        # A client that does not read is waited for as soon as this much lies ready for it; 64 KiB is the rule.
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {_EXTENSION: {"abort": self.transport.abort}}


def abort(scope: Scope) -> bool:
    """Cuts the connection of a request off; whether the server can."""
    extension = scope.get("extensions", {}).get(_EXTENSION)
    if extension is None:
        return False
    cast(Callable[[], None], extension["abort"])()
    return True
