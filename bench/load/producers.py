"""What brings events into a server: prepared bytes written straight to a socket, or the log's own client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol, cast

from app.core.eventlog.log import Event, EventLog, JobWrite
from bench.payload import Template, microseconds, text

_PATIENCE_SECONDS = 30.0
_TEXT = Template(text().encode())


class Producer(Protocol):
    """Brings events in, each as one number for one user."""

    def send(self, user: int, number: int) -> None:
        """Has the user's event with that number brought in; never waits."""
        ...

    def flush(self) -> None:
        """Lets what was sent go."""
        ...

    async def settle(self) -> None:
        """Returns when all that was sent has arrived. Raises RuntimeError where something was refused."""
        ...

    def close(self) -> None: ...


class Appender:
    """Brings events in as workers do: each is a report on a job, by the appending script. A job is a task that writes
    one report after the other."""

    def __init__(self, log: EventLog, writes: Sequence[JobWrite]) -> None:
        self._log = log
        self._writes = writes
        self._due = [deque[int]() for _ in writes]
        self._resting: list[asyncio.Future[None] | None] = [None] * len(writes)
        self._open = 0
        self._settled = asyncio.Event()
        self._jobs = [asyncio.create_task(self._report(user)) for user in range(len(writes))]
        self._failed: BaseException | None = None

    def send(self, user: int, number: int) -> None:
        self._open += 1
        self._due[user].append(number)
        if resting := self._resting[user]:
            self._resting[user] = None
            resting.set_result(None)

    def flush(self) -> None:
        """Each is on its way already."""

    async def settle(self) -> None:
        self._settled.clear()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while self._open and not self._failed:
                await self._settled.wait()
        if self._failed:
            raise RuntimeError("an event could not be appended") from self._failed

    def close(self) -> None:
        for job in self._jobs:
            job.cancel()

    async def _report(self, user: int) -> None:
        loop, due, events = asyncio.get_running_loop(), self._due[user], list[Event]()
        write = self._writes[user]._replace(events=events)
        try:
            while True:
                while due:
                    data = _TEXT.filled(due.popleft(), microseconds()).decode()
                    events[:] = [Event("audio:progress", data, thin=True)]
                    await self._log.append(write)
                    self._open -= 1
                if not self._open:
                    self._settled.set()
                self._resting[user] = resting = loop.create_future()
                await resting
        except Exception as error:
            self._failed = error
            self._settled.set()


class _Connection(asyncio.Protocol):
    """A connection into which prepared bytes are written; subclasses know when all was answered."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = templates
        self._pending: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.settled = asyncio.Event()
        self.refused: bytes | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, but of the same form.
        self.transport = cast(asyncio.Transport, transport)

    def send(self, user: int, number: int) -> None:
        self._pending.append(self._templates[user].filled(number, microseconds()))

    def flush(self) -> None:
        if self._pending:
            assert self.transport is not None
            self.transport.write(b"".join(self._pending))
            self._pending.clear()

    async def settle(self) -> None:
        self.flush()
        self.settled.clear()
        self.ask()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await self.settled.wait()
        if self.refused:
            raise RuntimeError(f"an event was refused: {self.refused!r}")

    def ask(self) -> None:
        """Has `settled` set once all is answered."""
        raise NotImplementedError

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class RedisWriter(_Connection):
    """Commands for Redis, pipelined."""

    def ask(self) -> None:
        assert self.transport is not None
        self.transport.write(b"PING\r\n")

    def write(self, commands: bytes) -> None:
        """Has these commands done, too."""
        self._pending.append(commands)

    def data_received(self, data: bytes) -> None:
        # An error of Redis', or what a script of ours says to a write that it does not take.
        if data.startswith(b"-") or b"\n-" in data or b"\nrefused\r" in data:
            self.refused = data[:200]
        if b"+PONG" in data:
            self.settled.set()


class HttpWriter(_Connection):
    """Requests, pipelined on one connection."""

    def __init__(self, templates: Sequence[Template]) -> None:
        super().__init__(templates)
        self._sent = self._answered = 0

    def send(self, user: int, number: int) -> None:
        super().send(user, number)
        self._sent += 1

    def ask(self) -> None:
        if self._answered >= self._sent:
            self.settled.set()

    def data_received(self, data: bytes) -> None:
        self._answered += data.count(b"HTTP/1.1 ")
        if data.count(b"HTTP/1.1 20") != data.count(b"HTTP/1.1 "):
            self.refused = data[:200]
        self.ask()


async def redis_writer(port: int, templates: Sequence[Template]) -> RedisWriter:
    """A connection to the Redis at `port`."""
    loop = asyncio.get_running_loop()
    _, writer = await loop.create_connection(lambda: RedisWriter(templates), "127.0.0.1", port)
    return writer


async def http_writer(port: int, templates: Sequence[Template]) -> HttpWriter:
    """A connection to the HTTP server at `port`."""
    loop = asyncio.get_running_loop()
    _, writer = await loop.create_connection(lambda: HttpWriter(templates), "127.0.0.1", port)
    return writer


def command(*words: bytes) -> bytes:
    """A command as it goes to Redis (RESP)."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
