"""uvicorn's HTTP protocol, strict in what it reads, fit for many streams: the one file that knows uvicorn's insides.

Buffers are small, and a stream takes its connection over, so that nothing of the request need live as long. Heads are
bounded, which the parser leaves to others, and so is the time that a client may take (`app.server.connections`). What a
client goes on sending after it was answered is let pass for a while: one that is cut off while it sends often never
sees its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.core.addresses import plain
from app.core.json_model import compact
from app.middleware.security_headers import FOR_REFUSALS
from app.server.connections import ConnectionLimits, Connections
from app.server.detach import EXTENSION, StreamProtocol
from app.server.transports import HeadBuffer, Unchunked

_BUFFER_BYTES = 8 * 1024
_MAX_HEAD = 64 * 1024
_MAX_UNREAD = 256 * 1024 * 1024
_MAX_PIPELINED = 100
_CHUNK_OVERHEAD = 8
_VERSIONS = {"1.0", "1.1"}


def _refusal(status: int, title: str, code: str, detail: str, more: str = "") -> bytes:
    """A whole answer with a problem document, after which the connection is closed; `more`: further fields."""
    problem = compact({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail})
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(problem)}\r\n"
    head += "".join(f"{name.decode()}: {value.decode()}\r\n" for name, value in FOR_REFUSALS)
    return f"{head}{more}connection: close\r\n\r\n{problem}".encode()


_HEAD_TOO_LARGE = _refusal(
    431, "Request Header Fields Too Large", "head_too_large", "The head of a request has at most 64 KiB."
)
_BAD_HTTP = _refusal(400, "Bad Request", "bad_http", "Malformed HTTP request.")
_TOO_SLOW = _refusal(408, "Request Timeout", "too_slow", "The request did not come in time.")
_TOO_MANY = _refusal(
    429,
    "Too Many Requests",
    "too_many_connections",
    "There are as many connections from this address as it may have.",
    "retry-after: 5\r\n",
)
_FULL = _refusal(
    503,
    "Service Unavailable",
    "too_many_connections",
    "This server has as many connections as it can.",
    "retry-after: 5\r\n",
)


class _Refused(Exception):
    """Ends the reading of a connection from within a callback of the parser."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class ProtocolFactory:
    """Makes the protocols of one process, whose connections have their limits together: uvicorn's setting `http`."""

    def __init__(self, limits: ConnectionLimits, protocol: type[StrictHttpProtocol] | None = None) -> None:
        self._limits = limits
        self._protocol = protocol or StrictHttpProtocol
        self._connections: Connections | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> StrictHttpProtocol:
        if self._connections is None:
            self._connections = Connections(self._limits, _loop or asyncio.get_running_loop())
        return self._protocol(config, server_state, app_state, _loop, self._connections)


class StrictHttpProtocol(HttpToolsProtocol):
    """Offers the ASGI extension `app.server.detach.EXTENSION` with each request.

    Requests are read strictly (RFC 9112). Nothing is read after a message that was refused; what was wholly understood
    before it is answered, then the connection closes.
    """

    _head_buffer: HeadBuffer
    _serving: RequestResponseCycle | None = None  # `cycle` is the latest, which may wait behind it
    _in_head = False
    _in_body = False
    _ended = False  # nothing more is read
    _half_closed = False
    _head = 0  # bytes of a head that has not come to its end
    _received = 0  # bytes that came together, which may hold a whole head
    _overhead = 0  # bytes of a message after its head that are neither body nor the little that chunks need
    _unread = 0  # bytes of a body that nobody wants any longer
    _came = 0  # bytes of a body since `_since`
    _since = 0.0  # when it began to wait for what it waits for now
    _stalled: float | None = None  # since when the client takes nothing
    _address = ""
    _when_half_closed: Callable[[], None] | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None,
        registry: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._registry = registry

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's is
        super().connection_made(transport)
        if self.client:
            # At `::` clients of IPv4 have addresses that no list of proxies or loopback names.
            self.client = (plain(self.client[0]), self.client[1])
        self._head_buffer = HeadBuffer(transport, self.loop)
        self.transport = cast(asyncio.Transport, self._head_buffer)
        # A client that does not read is waited for as soon as this much lies ready for it; 64 KiB is the rule.
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        self._since = self.loop.time()
        self._address = self._registry.address(self.client[0] if self.client else None)
        full, room = self._registry.is_full(), self._registry.has_room(self._address)
        self._registry.add(self, self._address)
        if full or not room:
            self._refuse(_FULL if full else _TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.remove(self, self._address)
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
        if self._in_body:
            self._came += len(data)
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

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's always closes
        """The client sends nothing more, or has gone, which looks the same: what it asked for is answered."""
        self._half_closed = True
        if self._in_head or self._in_body:
            self._refuse(_BAD_HTTP)
        self._ended = True
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or self.transport.is_closing():
            return False
        cycle.keep_alive = False
        if self._when_half_closed is not None:
            self._when_half_closed()
        return True

    def pause_writing(self) -> None:
        self._stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled = None
        super().resume_writing()

    def check_times(self, now: float) -> None:
        limits = self._registry.limits
        if self._stalled is not None or self.transport.is_closing():
            # What is closed may still wait for its client to take what is left.
            self._stalled = self._stalled or now
            if now >= self._stalled + limits.send_timeout_seconds:
                self.transport.abort()
        elif self._in_head:
            if now >= self._since + limits.head_seconds:
                self._refuse(_TOO_SLOW)
        elif self.scope is None:
            if now >= self._since + limits.head_seconds:
                self.transport.close()
        elif self._in_body:
            self._check_rate(now)
        elif self.cycle.response_complete and now >= self._since + limits.idle_seconds:
            self.transport.close()

    def _check_rate(self, now: float) -> None:
        """Ends a body that comes too slowly; while nobody reads it, it may rest."""
        limits = self._registry.limits
        resting = self.flow.read_paused or self.pipeline or self.cycle.waiting_for_100_continue
        if resting or now >= self._since + limits.body_seconds:
            if not resting and self._came < limits.min_body_rate * limits.body_seconds:
                self._refuse(_TOO_SLOW)
            self._since, self._came = now, 0

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
        self._since, self._came = self.loop.time(), 0
        self.scope["extensions"] = {EXTENSION: {"connection": self}}

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
        self._in_head, self._in_body, self._since = False, True, self.loop.time()
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
        if self.url[:1] != b"/" and hosts and not self._is_for_host():
            raise _Refused(_BAD_HTTP)
        if b"transfer-encoding" in names:
            codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
            if version == "1.0" or codings != [b"chunked"]:
                raise _Refused(_BAD_HTTP)
        if b"expect" in names and version == "1.1":
            expected = [value.lower() for name, value in self.headers if name == b"expect"]
            self.expect_100_continue = expected == [b"100-continue"]

    def _is_for_host(self) -> bool:
        """Whether a target with an authority names the one that `Host` does (RFC 9112, 3.2.2)."""
        authority = self.url.partition(b"//")[2].partition(b"/")[0].partition(b"?")[0]
        [host] = [value.strip() for name, value in self.headers if name == b"host"]
        return self.url == b"*" or authority.lower() == host.lower()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._serving = cycle
        self._head_buffer.hold_next()
        if cycle.scope["http_version"] == "1.0":
            cycle.transport = cast(asyncio.Transport, Unchunked(self._head_buffer))
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
        if self._in_head:
            return  # it comes again, see `_feed`
        self._in_body = False
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self._in_head and not self._in_body:
            self._since = self.loop.time()
        super().on_response_complete()

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
        if cycle is not None and self._in_body:
            # Its head was good, its body is not.
            if self.pipeline:
                self.pipeline.popleft()
                cycle = self.pipeline[0][0] if self.pipeline else self._serving
            elif cycle.response_started:
                self.transport.close()
                return
            else:
                # Its application must not answer after this.
                cycle.disconnected = True
                cycle.message_event.set()
                cycle = None
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
        elif not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()

    def has_stream_room(self) -> bool:
        return self._registry.has_stream_room(self._address)

    def on_half_close(self, callback: Callable[[], None]) -> None:
        self._when_half_closed = callback
        if self._half_closed:
            callback()

    def detach(self, stream: StreamProtocol) -> bool:
        """As uvicorn does it for a WebSocket."""
        transport, cycle, paused = self._head_buffer.transport, self._serving, self.flow.write_paused
        if cycle is None or cycle.disconnected or transport.is_closing():
            return False
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        self._registry.remove(self, self._address)
        self.connections.discard(self)
        self.server_state.total_requests += 1
        # For the request it is as if the client had gone: nothing more is sent, nor missed.
        cycle.disconnected = True
        transport.set_protocol(cast(asyncio.BaseProtocol, stream))
        head = self._head_buffer.take()
        to = transport
        if isinstance(cycle.transport, Unchunked):
            transport.write(head)
            to, head = cast(asyncio.Transport, Unchunked(transport, in_body=True)), b""
        # Each of these holds the others, and all of them this protocol.
        del self.scope, self.cycle, self.parser, self.pipeline, self.headers
        self._serving = self._when_half_closed = None
        stream.begin(to, self._registry.streams_of(self._address, self.connections), paused, head)
        if self._half_closed:
            stream.eof_received()
        return True

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
