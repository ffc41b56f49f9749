"""Readers of streams for the tests of faults: hundreds that keep their cursors, and some that read badly."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import httpx
from redis.asyncio import Redis

from app.core.redis import keys
from tests.support import until

ENDS = {"audio:complete", "audio:failed", "audio:cancelled"}
"""The terminal events of a narration."""

_STOP_SECONDS = 30.0


class Told(NamedTuple):
    """One event as a reader got it, or as it stands in the log."""

    id: str
    type: str
    data: bytes


@dataclass(kw_only=True)
class Reading:
    """What a reader keeps. `refusals`: answers but 200, by their status; `hasty`: those of them without `Retry-After`.

    Args:
        cursor: after which event it begins; empty: at the end.
    """

    events: list[Told] = field(default_factory=list)
    controls: Counter[str] = field(default_factory=Counter)
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    refusals: Counter[int] = field(default_factory=Counter)
    hasty: int = 0
    cursor: str = ""

    async def run(self) -> None:
        """Reads."""
        raise NotImplementedError


@dataclass
class SseReader(Reading):
    """A reader that keeps its cursor and comes back with it, some hundred times cheaper than an HTTP library.

    Args:
        ports: where to connect, one after the other.
        returns: whether it connects anew when its stream has ended.
    """

    ports: Sequence[int]
    user: str
    token: str
    returns: bool = True
    goodbyes: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    connections: int = 0
    ended_at: float = 0.0

    async def run(self) -> None:
        """Reads for ever, or until the stream ends where it is not to return."""
        for attempt in range(sys.maxsize):
            with suppress(OSError, EOFError):
                await self._connect(self.ports[attempt % len(self.ports)])
            self.ended_at = asyncio.get_running_loop().time()
            if self.connections and not self.returns:
                return
            await asyncio.sleep(random.uniform(0.1, 1.0))

    async def _connect(self, port: int) -> None:
        source, sink = await self._open(port)
        try:
            sink.write(self._request())
            status, head = await _head(source)
            if status != httpx.codes.OK:
                self.refusals[status] += 1
                self.hasty += b"retry-after:" not in head.lower()
                return
            self.connections += 1
            await self._read(source)
        finally:
            sink.close()

    async def _open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port)

    async def _chunks(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The body of a chunked response (RFC 9112, 7.1)."""
        while size := int((await source.readuntil(b"\r\n")), 16):
            chunk = await source.readexactly(size + 2)
            yield chunk[:-2]

    def _request(self) -> bytes:
        lines = ["GET /api/events HTTP/1.1", "Host: localhost", "Accept: text/event-stream"]
        lines.append(f"Authorization: Bearer {self.token}")
        if self.cursor:
            lines.append(f"Last-Event-ID: {self.cursor}")
        return "\r\n".join([*lines, "", ""]).encode()

    async def _read(self, source: asyncio.StreamReader) -> None:
        left = b""
        async for chunk in self._chunks(source):
            *frames, left = (left + chunk).split(b"\r\n\r\n")
            for frame in frames:
                self._take(frame)

    def _take(self, frame: bytes) -> None:
        lines = (line.split(b": ", 1) for line in frame.split(b"\r\n") if not line.startswith(b":"))
        told = dict(lines)
        type, data = told[b"event"].decode(), told[b"data"]
        self.cursor = told[b"id"].decode() if b"id" in told else self.cursor
        if ":" in type:
            self.events.append(Told(self.cursor, type, data))
            return
        self.controls[type] += 1
        if type == "reset":
            self.snapshots.append(json.loads(data))
        if type == "goodbye":
            self.goodbyes.append((asyncio.get_running_loop().time(), json.loads(data)))


@dataclass
class PollReader(Reading):
    """A reader that asks again and again, by long poll, and keeps what `SseReader` keeps."""

    addresses: Sequence[str]
    token: str
    wait: float = 5.0

    async def run(self) -> None:
        """Reads for ever."""
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=self.wait + 20) as http:
            for attempt in range(sys.maxsize):
                try:
                    await self._ask(http, self.addresses[attempt % len(self.addresses)])
                except httpx.HTTPError:
                    await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _ask(self, http: httpx.AsyncClient, address: str) -> None:
        query = {"after": self.cursor, "wait": str(self.wait)} if self.cursor else {}
        answer = await http.get(f"{address}/api/events", params=query)
        if answer.status_code != httpx.codes.OK:
            self.refusals[answer.status_code] += 1
            self.hasty += "Retry-After" not in answer.headers
            await asyncio.sleep(random.uniform(0.1, 1.0))
            return
        told = answer.json()
        # The bytes of `data` are lost in a JSON parser; what they say is not.
        self.events += [Told(one["id"], one["type"], json.dumps(one["data"]).encode()) for one in told["events"]]
        self.cursor = told["cursor"]
        self.controls["ready"] += 1
        if told["reset"] is not None:
            self.controls["reset"] += 1
            self.snapshots.append(told["reset"])


async def _head(source: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await source.readuntil(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), head


R = TypeVar("R", bound=Reading)


class Crowd(Generic[R]):
    """Many readers of many users."""

    def __init__(self, readers: Iterable[R]) -> None:
        self.readers = list(readers)
        self._tasks: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """All of them read; entered when each has its place."""
        self._tasks = [asyncio.create_task(reader.run()) for reader in self.readers]
        try:
            await until(lambda: all(reader.controls["ready"] for reader in self.readers), timeout=60)
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def ended(self) -> bool:
        return all(task.done() for task in self._tasks)

    def total(self, count: Callable[[R], int]) -> int:
        return sum(count(reader) for reader in self.readers)


async def logged(redis: Redis, user: str) -> list[Told]:
    """All that stands in a user's log."""
    rows: Any = await redis.xrange(keys.log(user))
    return [Told(id.decode(), values[b"h"].decode().split(" ")[0], values[b"d"]) for id, values in rows]


def narrow_socket(port: int) -> socket.socket:
    """A connection that takes in no more unasked than the system insists on."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", port))
    return narrow


class Stalled:
    """A client that opens a stream and reads no more of it than that it is open."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = narrow_socket(port)
        self._socket.settimeout(_STOP_SECONDS)
        self._socket.sendall(
            f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )

    def is_open(self) -> bool:
        """Waits for the first line of the answer."""
        return self._socket.recv(15) == b"HTTP/1.1 200 OK"

    def close(self) -> None:
        self._socket.close()
