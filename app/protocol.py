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

import httptools
from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.core.addresses import plain
from app.core.models import compact
from app.headers import FOR_REFUSALS

_EXTENSION = "smartvoice.hand_over"
_BUFFER_BYTES = 8 * 1024
_MAX_HEAD = 64 * 1024
_MAX_UNREAD = 256 * 1024 * 1024
_MAX_PIPELINED = 100
_CHUNK_OVERHEAD = 8
_VERSIONS = {"1.0", "1.1"}


def _refusal(status: int, title: str, code: str, detail: str) -> bytes:
    """A whole answer with a problem document, after which the connection is closed."""
    problem = compact({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail})
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(problem)}\r\n"
    head += "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in FOR_REFUSALS)
    return f"{head}connection: close\r\n\r\n{problem}".encode()


_HEAD_TOO_LARGE = _refusal(
    431, "Request Header Fields Too Large", "head_too_large", "The head of a request has at most 64 KiB."
)
_BAD_HTTP = _refusal(400, "Bad Request", "bad_http", "This is not HTTP as it should be.")


class _Refused(Exception):
    """Ends the reading of a connection from within a callback of the parser."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class Protocol(HttpToolsProtocol):
    """Offers the ASGI extension `smartvoice.hand_over` with each request.

    Requests are read strictly (RFC 9112). Nothing is read after a message that was refused; what was wholly understood
    before it is answered, then the connection closes.
    """

    _head_buffer: HeadBuffer
    _serving: RequestResponseCycle | None = None  # `cycle` is the latest, which may wait behind it
    _in_head = False
    _ended = False  # nothing more is read
    _head = 0  # bytes of a head that has not come to its end
    _received = 0  # bytes that came together, which may hold a whole head
    _overhead = 0  # bytes of a message after its head that are neither body nor the little that chunks need
    _unread = 0  # bytes of a body that nobody wants any longer

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's is
        super().connection_made(transport)
        if self.client:
            # At `::` clients of IPv4 have addresses that no list of proxies or loopback names.
            self.client = (plain(self.client[0]), self.client[1])
        self._head_buffer = HeadBuffer(transport, self.loop)
        self.transport = cast(asyncio.Transport, self._head_buffer)
        # A client that does not read is waited for as soon as this much lies ready for it; 64 KiB is the rule.
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # uvicorn tells the latest request alone, which may wait behind the one that is being served.
        if (cycle := self._serving) is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._ended:
            self._discard(len(data))
            return
        self._received = len(data)
        if not self._in_head:
            self._overhead += len(data)
        try:
            self._feed(data)
            # Of a field that has not come to its end the parser tells nothing.
            if self._in_head:
                self._head += len(data)
                if self._head > _MAX_HEAD:
                    raise _Refused(_HEAD_TOO_LARGE)
            elif self._overhead > _MAX_HEAD:
                raise _Refused(_BAD_HTTP)
        except _Refused as refused:
            self._refuse(refused.answer)
        except httptools.HttpParserError as error:
            # What a callback raised is the context of what the parser raises.
            cause = error.__context__
            self._refuse(cause.answer if isinstance(cause, _Refused) else _BAD_HTTP)

    def _feed(self, data: bytes) -> None:
        """Parses, as though no request ever asked for an upgrade.

        A server may ignore an upgrade that it does not speak (RFC 9110, 7.8), but the parser takes what follows such a
        head, its body too, for the other protocol. The head is given to a parser anew, without that field.
        """
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                # As uvicorn has it: what follows a request that says `Connection: close` is skipped.
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
        version = self.parser.get_http_version().encode()
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.parser.get_method(), self.url, version, b"".join(fields))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head, self._overhead, self._unread = True, 0, 0, 0
        self.scope["extensions"] = {_EXTENSION: {"hand_over": self._hand_over}}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a field of the head; a trailer must not pass for one (RFC 9110, 6.5.1), and is dropped."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._head + self._received > _MAX_HEAD and self._size_of_head() > _MAX_HEAD:
            raise _Refused(_HEAD_TOO_LARGE)
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _Refused(_BAD_HTTP)
            return  # it comes again, see `_feed`
        self._check_head()
        self._in_head = False
        super().on_headers_complete()
        if len(self.pipeline) > _MAX_PIPELINED:
            raise _Refused(_BAD_HTTP)

    def _check_head(self) -> None:
        """Refuses what the parser lets pass, and another recipient may understand otherwise (RFC 9112, 3.2, 6.1)."""
        version = self.parser.get_http_version()
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        if version not in _VERSIONS or hosts > 1 or (hosts == 0 and version == "1.1"):
            raise _Refused(_BAD_HTTP)
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
            if version == "1.0" or codings != [b"chunked"]:
                raise _Refused(_BAD_HTTP)
        if b"expect" in names and version == "1.1":
            expected = [value.lower() for name, value in self.headers if name == b"expect"]
            self.expect_100_continue = expected == [b"100-continue"]

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._serving = cycle
        self._head_buffer.hold_next()
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        # A chunk of one byte takes six.
        self._overhead = max(0, self._overhead - _CHUNK_OVERHEAD * len(body))
        if self.transport.is_closing():
            return
        super().on_body(body)
        if self.cycle.response_complete:
            self._discard(len(body))

    def on_message_complete(self) -> None:
        if not self._in_head and not self.transport.is_closing():
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return False

    def _discard(self, size: int) -> None:
        """Lets pass what a client sends though nobody reads it; not without end."""
        self._unread += size
        if self._unread > _MAX_UNREAD:
            self.transport.abort()

    def _refuse(self, answer: bytes) -> None:
        """Reads nothing more. Requests that were wholly read are answered, then the connection closes."""
        self._ended = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not self._in_head and cycle.more_body:
            # Its head was good, its body is not.
            if self.pipeline:
                self.pipeline.popleft()
                cycle = self.pipeline[0][0] if self.pipeline else self._serving
            elif cycle.response_started:
                self.transport.close()
                return
            else:
                cycle = None
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
        elif not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def _hand_over(self, successor: Successor) -> bool:
        """As uvicorn does it for a WebSocket."""
        transport, cycle, paused = self._head_buffer.transport, self._serving, self.flow.write_paused
        if cycle is None or cycle.disconnected or transport.is_closing():
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
        self._serving = None
        successor.begin(transport, self.connections, paused, self._head_buffer.take())
        return True

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)


class HeadBuffer:
    """A transport that keeps the head of an answer back until its body comes, in this turn of the loop or not at all.

    uvicorn writes each by itself, and a transport sends at once what it is given: two system calls, and two packets.
    """

    __slots__ = ("_held", "_holds_next", "_loop", "transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        self._loop = loop
        self._holds_next = False
        self._held = b""

    def hold_next(self) -> None:
        """What is written next is a head."""
        self._holds_next = True

    def take(self) -> bytes:
        """What is held back, which is the caller's to write."""
        held, self._held = self._held, b""
        return held

    def write(self, data: bytes) -> None:
        """Writes in order. Nothing that is empty reaches the transport: asyncio may try to send it for ever."""
        if self._held:
            self._holds_next = False
            self.transport.write(self.take() + data)
        elif self._holds_next:
            self._holds_next = False
            self._held = data
            self._loop.call_soon(self._flush)
        elif data:
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
        if self._held:
            self.transport.write(self.take())


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
