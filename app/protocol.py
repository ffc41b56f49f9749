"""uvicorn's HTTP protocol, fit for many long streams and for clients that send without end.

Buffers are small, and a stream takes its connection over, so that nothing of the request need live as long. The head of
a request is bounded, which the parser leaves to others. So is what a client goes on sending after it was answered: some
of that is let pass, because a client that is cut off while it sends often never sees its answer.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.core.models import compact

_EXTENSION = "smartvoice.hand_over"
_BUFFER_BYTES = 8 * 1024
_LARGEST_HEAD = 64 * 1024
_MOST_UNREAD = 256 * 1024 * 1024


def _refusal(status: int, title: str, code: str, detail: str) -> bytes:
    """A whole answer with a problem document, after which the connection is closed."""
    problem = compact({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail})
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(problem)}\r\n"
    return f"{head}connection: close\r\n\r\n{problem}".encode()


_HEAD_TOO_LARGE = _refusal(
    431, "Request Header Fields Too Large", "head_too_large", "The head of a request has at most 64 KiB."
)
_BAD_HTTP = _refusal(400, "Bad Request", "bad_http", "This is not HTTP as it should be.")


class Protocol(HttpToolsProtocol):
    """Offers the ASGI extension `smartvoice.hand_over` with each request."""

    _corked: _Corked
    _in_head = False
    _head = 0  # bytes of a head that has not come to its end
    _come = 0  # bytes that came together, which may hold a whole head
    _unread = 0  # bytes of a body that nobody wants any longer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's is
        super().connection_made(transport)
        self._corked = _Corked(transport, self.loop)
        self.transport = cast(asyncio.Transport, self._corked)
        # A client that does not read is waited for as soon as this much lies ready for it; 64 KiB is the rule.
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        self._come = len(data)
        super().data_received(data)
        # Of a field that has not come to its end the parser tells nothing.
        if self._in_head:
            self._head += len(data)
            if self._head > _LARGEST_HEAD:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head, self._unread = True, 0, 0
        self.scope["extensions"] = {_EXTENSION: {"hand_over": self._hand_over}}

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head + self._come > _LARGEST_HEAD and self._size_of_head() > _LARGEST_HEAD:
            self._refuse_head()
        else:
            super().on_headers_complete()
            self._corked.hold_next()

    def on_body(self, body: bytes) -> None:
        if self.transport.is_closing():
            return
        super().on_body(body)
        if self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > _MOST_UNREAD:
                self.transport.abort()

    def on_message_complete(self) -> None:
        if not self.transport.is_closing():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser cannot read is refused like everything else."""
        self.transport.write(_BAD_HTTP)
        self.transport.close()

    def _hand_over(self, successor: Successor) -> bool:
        """As uvicorn does it for a WebSocket."""
        transport, cycle, paused = self._corked.transport, self.cycle, self.flow.write_paused
        if cycle.disconnected or transport.is_closing():
            return False
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self.connections.discard(self)
        self.server_state.total_requests += 1
        # For the request it is as if the client had gone: nothing more is sent, nor missed.
        cycle.disconnected = True
        transport.set_protocol(cast(asyncio.BaseProtocol, successor))
        # Each of these holds the others, and all of them this protocol.
        del self.scope, self.cycle, self.parser, self.pipeline, self.headers
        successor.begin(transport, self.connections, paused, self._corked.taken())
        return True

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_head(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()


class _Corked:
    """A transport that keeps the head of an answer back until its body comes, in this turn of the loop or not at all.

    uvicorn writes each by itself, and a transport sends at once what it is given: two system calls, and two packets.
    """

    __slots__ = ("_head", "_holds", "_loop", "transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        self._loop = loop
        self._holds = False
        self._head = b""

    def hold_next(self) -> None:
        """What is written next is a head."""
        self._holds = True

    def taken(self) -> bytes:
        """What is held back, which is the caller's to write."""
        head, self._head = self._head, b""
        return head

    def write(self, data: bytes) -> None:
        if self._holds:
            self._holds = False
            self._head = data
            self._loop.call_soon(self._flush)
        elif self._head:
            self.transport.writelines([self.taken(), data])
        else:
            self.transport.write(data)

    def close(self) -> None:
        self._flush()
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.transport.get_extra_info(name, default)

    def _flush(self) -> None:
        if self._head:
            self.transport.write(self.taken())


class Successor(typing.Protocol):
    """Takes over a connection on which an answer goes on as chunks (RFC 9112, 7.1)."""

    def begin(self, transport: asyncio.Transport, connections: set[Any], paused: bool, head: bytes) -> None:
        """`connections` are those that the server waits for when it stops; `paused`: the client does not read; `head`:
        the answer's, as far as it is still to be written."""

    def shutdown(self) -> None:
        """The server stops."""


def hand_over(scope: Scope, successor: Successor) -> bool:
    """Gives the connection of a request to `successor`, for good; False where the client has gone.

    The request then counts as done: its task ends, and nothing of it is kept. Raises RuntimeError where the server
    cannot do that.
    """
    extension = scope.get("extensions", {}).get(_EXTENSION)
    if extension is None:
        raise RuntimeError("streams need app.protocol.Protocol as the server's HTTP protocol: see app.cli.serve")
    return cast(Callable[[Successor], bool], extension["hand_over"])(successor)
