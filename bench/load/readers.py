"""Clients of any event server: one raw protocol each, which counts events and looks at nothing else.

Where one read brings many events, all of them count as late as the oldest: the figure can only be too bad.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from bench.payload import MARK, SIZE, microseconds, read
from bench.stats import percentile

_PATIENCE_SECONDS = 90.0
_RETRY_SECONDS = 2.0  # what SmartVoice says in Retry-After
_KEEP = len(MARK) - 1
PING, PONG = b"\x81\x012", b"\x81\x81\x00\x00\x00\x003"


@dataclass(frozen=True)
class Opening:
    """How a client opens its stream: the request, what shows that it is open, and its token where it is a Socket.IO
    client."""

    port: int
    request: bytes
    open: bytes
    token: str | None = None


@dataclass
class Tally:
    """What all readers of one measurement have seen; latencies in µs, with how many events each stands for."""

    received: int = 0
    lost: int = 0
    duplicated: int = 0
    bytes: int = 0
    closed: int = 0
    refused: int = 0
    latencies: array[int] = field(default_factory=lambda: array("q"))
    counts: array[int] = field(default_factory=lambda: array("q"))

    def clear(self) -> None:
        self.received = self.lost = self.duplicated = self.bytes = 0
        self.latencies, self.counts = array("q"), array("q")

    def milliseconds(self, share: float) -> float | None:
        """The latency that `share` of all events do not exceed; None where none came."""
        if not self.received:
            return None
        return percentile(list(zip(self.latencies, self.counts, strict=True)), share) / 1000


class Reader(asyncio.Protocol):
    """One SSE client."""

    __slots__ = ("_answer", "_done", "_goal", "_opening", "_tail", "_tally", "last", "opened", "transport")

    def __init__(self, opening: Opening, tally: Tally, last: int) -> None:
        self._opening = opening
        self._tally = tally
        self._tail = b""
        self._answer = b""
        self._goal: int | None = None
        self._done: Callable[[], None] | None = None
        self.last = last
        self.opened: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    def on_reaching(self, goal: int, done: Callable[[], None]) -> None:
        """Has `done` called once the event `goal` is here."""
        self._goal, self._done = goal, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, but of the same form.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._opening.request)

    def data_received(self, data: bytes) -> None:
        now = microseconds()
        self._tally.bytes += len(data)
        if self.opened is not None:
            self._open(data)
        self.take(data, now)

    def take(self, data: bytes, now: int) -> None:
        """Counts the events in `data`; one that is cut off waits for its end."""
        if self._tail:
            data = self._tail + data
        found = data.count(MARK)
        if not found:
            self._tail = data[-_KEEP:]
            return
        end = data.rfind(MARK)
        if end + SIZE > len(data):
            self._tail, found = data[end:], found - 1
            if not found:
                return
            end = data.rfind(MARK, 0, end)
        else:
            self._tail = data[-_KEEP:]
        self._count(data, found, end, now)

    def _count(self, data: bytes, found: int, end: int, now: int) -> None:
        tally = self._tally
        first, sent = read(data, data.find(MARK) if found > 1 else end)
        last = read(data, end)[0] if found > 1 else first
        tally.received += found
        tally.latencies.append(now - sent)
        tally.counts.append(found)
        difference = last - self.last - found
        if difference or first != self.last + 1:
            tally.lost += max(difference, 0)
            tally.duplicated += max(-difference, 0) or int(not difference)
        self.last = max(self.last, last)
        if self._goal is not None and self.last >= self._goal and self._done is not None:
            self._goal = None
            self._done()

    def connection_lost(self, error: Exception | None) -> None:
        self._tally.closed += 1
        if self.opened is not None and not self.opened.done():
            kind = ConnectionRefusedError if self._answer.startswith(b"HTTP/1.1 503") else ConnectionError
            self.opened.set_exception(kind(f"closed while it opened: {self._answer[:300]!r}"))

    def _open(self, data: bytes) -> None:
        assert self.opened is not None
        self._answer += data
        if self._opening.open in self._answer and not self.opened.done():
            self.opened.set_result(None)
            self.opened, self._answer = None, b""
        elif b"\r\n\r\n" in self._answer and not self._answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")):
            assert self.transport is not None
            self.transport.abort()


class SocketIoReader(Reader):
    """One Socket.IO client that begins with a WebSocket, as `transports: ["websocket"]` has it."""

    __slots__ = ("_upgraded",)

    def __init__(self, opening: Opening, tally: Tally, last: int) -> None:
        super().__init__(opening, tally, last)
        self._upgraded = False

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        if not self._upgraded:
            self._upgraded = True
            self.transport.write(text_frame(f'40{{"token":"{self._opening.token}"}}'))
        if PING in data:
            self.transport.write(PONG)
        super().data_received(data)


def text_frame(text: str) -> bytes:
    """A client's text frame (RFC 6455, 5.2), masked with zeros, which leave it as it is."""
    payload = text.encode()
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else bytes([0x81, 0x80 | 126]) + size.to_bytes(2, "big")
    return head + bytes(4) + payload


def sse_request(port: int, path: str, token: str | None, after: str | None = None) -> bytes:
    """A request for an event stream."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream"]
    lines += [f"Authorization: Bearer {token}"] if token else []
    lines += [f"Last-Event-ID: {after}"] if after else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def upgrade_request(port: int) -> bytes:
    """A request for a WebSocket with Socket.IO's fourth protocol."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def connect(
    openings: Sequence[Opening],
    tally: Tally,
    last: int,
    *,
    at_once: int,
    prepare: Callable[[Reader], None] = lambda reader: None,
) -> list[Reader]:
    """Opens them all, at most `at_once` at the same time; returns when each is open.

    Who is told to come back later (503 with Retry-After) does; the tally counts it.
    Raises ConnectionError, TimeoutError.
    """
    readers: list[Reader] = []
    waiting = iter(openings)

    async def some(openings: Iterable[Opening]) -> None:
        for opening in openings:
            while (reader := await _opened(opening, tally, last, prepare)) is None:
                tally.refused += 1
                await asyncio.sleep(_RETRY_SECONDS * random.uniform(1.0, 1.5))
            readers.append(reader)

    async with asyncio.timeout(_PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(openings))):
            group.create_task(some(waiting))
    return readers


async def _opened(opening: Opening, tally: Tally, last: int, prepare: Callable[[Reader], None]) -> Reader | None:
    """The open reader; None where the server is too busy just now."""
    reader = (SocketIoReader if opening.token else Reader)(opening, tally, last)
    opened = reader.opened
    assert opened is not None
    prepare(reader)
    await asyncio.get_running_loop().create_connection(lambda: reader, "127.0.0.1", opening.port)
    try:
        await opened
    except ConnectionRefusedError:
        return None
    return reader


def close(readers: Iterable[Reader]) -> None:
    """Closes them without a goodbye."""
    for reader in readers:
        if reader.transport is not None:
            reader.transport.abort()
