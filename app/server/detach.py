"""An ASGI extension of ours: what an application may ask of the connection of its request."""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope

EXTENSION = "smartvoice.connection"


class StreamProtocol(typing.Protocol):
    """Takes over a connection on which a response goes on as chunks (RFC 9112, 7.1)."""

    def begin(self, transport: asyncio.Transport, connections: Any, paused: bool, head: bytes) -> None:
        """`connections`, a set in which it keeps itself, are those that the server waits for when it stops; `paused`:
        the client does not read; `head`: the answer's, as far as it is still to be written."""

    def eof_received(self) -> bool | None:
        """Note that the client sends nothing more, or is gone."""

    def shutdown(self) -> None:
        """Note that the server stops."""


class RequestConnection(typing.Protocol):
    """The connection of a request."""

    def has_stream_room(self) -> bool:
        """Return whether the client's address may have another stream."""

    def on_half_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the client is known to send nothing more, which may mean that it is gone."""

    def detach(self, stream: StreamProtocol) -> bool:
        """Give the connection to `stream` for good; return False if the client is gone.

        The request is then done: its task ends, and nothing of it is kept.
        """


def connection_of(scope: Scope) -> RequestConnection:
    """Return the connection of a request. Raises RuntimeError if the server is not ours."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        raise RuntimeError("streams need app.server.uvicorn_protocol as the server's HTTP protocol: see app.cli.web")
    return cast(RequestConnection, extension["connection"])
