"""Workload f: job status asked for again and again, and the long poll."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import cast

from redis.asyncio import Redis

from bench import install
from bench.load.readers import Opening, Reader, Tally, close
from bench.measure import Row, Sending, arrived, folder_of, spending
from bench.payload import FIRST
from bench.process import Process
from bench.server import Server, node_process, user
from bench.servers import Tutorial
from bench.smartvoice import SmartVoice
from bench.workloads.streams import Plan

_POLLERS = 50
_JOB = "a7d3e95c1b4f6a8d2e30"
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ETAG = re.compile(rb"\r\netag: ([^\r]+)\r", re.IGNORECASE)
_CURSOR = re.compile(rb'"cursor": ?"([0-9-]+)"')


def whole(data: bytes) -> int | None:
    """The size of the response that `data` begins with; None while some of it is missing."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    length = _LENGTH.search(data, 0, end + 2)
    size = end + 4 + (int(length[1]) if length and not data.startswith(b"HTTP/1.1 304") else 0)
    return size if len(data) >= size else None


class Poller(asyncio.Protocol):
    """Asks for the same thing again as soon as it is answered; with `etag` it says what it has."""

    def __init__(self, head: bytes, *, etag: bool) -> None:
        self._head = head
        self._etag = etag
        self._data = b""
        self._request = head + b"\r\n"
        self.answers = self.bytes = self.unchanged = self.failed = 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, but of the same form.
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        size = whole(self._data)
        if size is None:
            return
        self.answers += 1
        self.bytes += size + len(self._request)
        self.unchanged += self._data.startswith(b"HTTP/1.1 304")
        self.failed += not self._data.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304"))
        if self._etag and (tag := _ETAG.search(self._data)):
            self._request = self._head + b"If-None-Match: " + tag[1] + b"\r\n\r\n"
        self._data = b""
        assert self.transport is not None
        self.transport.write(self._request)


class LongPoller(Reader):
    """A reader that asks for what comes after what it has."""

    __slots__ = ("_head", "_part")

    def __init__(self, opening: Opening, tally: Tally, last: int) -> None:
        super().__init__(opening, tally, last)
        self._head = opening.request
        self._part = b""
        self.opened = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._ask(b"")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._part += data
        size = whole(self._part)
        if size is not None:
            cursor = _CURSOR.search(self._part)
            self._part = self._part[size:]
            self._ask(b"&after=" + cursor[1] if cursor else b"")

    def _ask(self, after: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self._head.replace(b"AFTER", after))


class Express(Tutorial):
    """Express with Redis."""

    name = "express"
    title = "Express 5 + Redis on Node"

    @classmethod
    def missing(cls) -> str | None:
        return None if install.node() else "Node.js with npm, and npm's registry within reach"

    @classmethod
    def process_of(cls, folder: Path, redis_port: int, **options: object) -> Process:
        return node_process(folder, "express", redis_port)


async def status(kind: type[Server], plan: Plan, build: Path, *, etag: bool) -> list[Row]:
    """(f) Polls of a job's status a second, and what one costs."""
    workload = "f304" if etag else "f200"
    async with kind.running(folder_of(build, workload, kind.name)) as server:
        paths = await _jobs(server)
        loop = asyncio.get_running_loop()
        pollers = []
        for number, path in enumerate(paths):
            head = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {server.token(number)}"]
            poller = Poller("\r\n".join([*head, ""]).encode(), etag=etag)
            await loop.create_connection(lambda poller=poller: poller, "127.0.0.1", server.process.port)  # type: ignore[misc] # a default argument binds it now
            pollers.append(poller)
        await asyncio.sleep(0.5)
        before, size = sum(poller.answers for poller in pollers), sum(poller.bytes for poller in pollers)
        with spending(server.process, server.redis) as spent:
            await asyncio.sleep(plan.polls_seconds)
        answers = sum(poller.answers for poller in pollers) - before
        figures: dict[str, float | None] = {
            "polls_per_s": answers / spent.seconds,
            "cpu_ms": 1000 * spent.server / max(answers, 1),
            "bytes_each": (sum(poller.bytes for poller in pollers) - size) / max(answers, 1),
        }
        for poller in pollers:
            assert poller.transport is not None
            poller.transport.abort()
        row = Row(workload, kind.name, kind.title, figures, load=spent.load)
        row.lost = sum(poller.failed for poller in pollers)
        if etag and not sum(poller.unchanged for poller in pollers):
            row.note = "knows no ETag: always the whole answer"
        return [row]


async def _jobs(server: Server) -> list[str]:
    """Where each poller's job is: with the fields that SmartVoice's has, whoever the server is."""
    if isinstance(server, SmartVoice):
        return [f"/api/jobs/audio-generation/{write.job}" for write in await server.held_jobs(_POLLERS)]
    record: dict[bytes | bytearray | memoryview[int] | str | int | float, bytes | str | int | float] = {
        "id": _JOB,
        "queue": "audio-generation",
        "projectId": "3f9c1e7a5b2d4c6e8f01",
        "chapterId": "5e8b7d1c3a9f2e4b6d08",
        "state": "active",
        "progress": '{"percentage":42,"message":"正在调用 TTS 服务","currentStep":"音频合成","step":2,"totalSteps":3,'
        '"stage":"synthesis","unitsDone":7,"unitsTotal":35,"etaSeconds":12}',
        "attempt": "1",
        "version": "1767225600-42",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }
    async with Redis(port=server.redis.port) as redis:
        for number in range(_POLLERS):
            await redis.hset(f"job:{user(number)}:{_JOB}", mapping=dict(record))
    return [f"/api/jobs/audio-generation/{_JOB}"] * _POLLERS


async def long_poll(plan: Plan, build: Path) -> list[Row]:
    """(f) The events of workload b, read by long poll."""
    kind, users = SmartVoice, plan.users // 4
    async with kind.running(folder_of(build, "flong", kind.name)) as server:
        producer = await server.producer(users, fast=False)
        tally, readers, loop = Tally(), list[Reader](), asyncio.get_running_loop()
        port = server.process.port
        for number in range(users):
            lines = ["GET /api/events?wait=25AFTER HTTP/1.1", "Host: 127.0.0.1", "Accept: application/json"]
            lines += [f"Authorization: Bearer {server.token(number)}"]
            opening = Opening(port, ("\r\n".join(lines) + "\r\n\r\n").encode(), b"")
            poller = LongPoller(opening, tally, FIRST - 1)
            await loop.create_connection(lambda poller=poller: poller, "127.0.0.1", port)  # type: ignore[misc] # a default argument binds it now
            readers.append(poller)
        await asyncio.sleep(1.0)
        sending = Sending(producer, users)
        tally.bytes = 0
        with spending(server.process, server.redis) as spent:
            await sending.run(plan.rate / 4, plan.seconds / 2)
            await producer.settle()
            await arrived(tally, sending.sent, 5.0)
        figures = {
            "p50_ms": tally.milliseconds(0.5),
            "p99_ms": tally.milliseconds(0.99),
            "cpu_ms_per_1000": 1e6 * spent.server / max(tally.received, 1),
            "bytes_each": tally.bytes / max(tally.received, 1),
        }
        row = Row("flong", kind.name, f"{kind.title}, long poll", figures, load=spent.load)
        row.lost, row.duplicated = sending.sent - tally.received, tally.duplicated
        close(readers)
        producer.close()
        return [row]
