"""The load generator's parsers: whatever way bytes are cut, each event counts once, and what is missing is noticed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import EventLog
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings
from bench.load.producers import command
from bench.load.readers import Opening, Reader, Tally, text_frame
from bench.payload import FIRST, Template, microseconds, text
from bench.server import SECRET, redis_server, user
from bench.smartvoice import SmartVoice
from bench.workloads.polls import whole


def _events(*numbers: int) -> bytes:
    return b"".join(b"data: " + text(number, microseconds()).encode() + b"\r\n\r\n" for number in numbers)


async def _read(data: bytes, size: int) -> Tally:
    tally = Tally()
    reader = Reader(Opening(0, b"", b""), tally, FIRST - 1)
    for start in range(0, len(data), size):
        reader.take(data[start : start + size], microseconds())
    return tally


@pytest.mark.parametrize("size", [1, 2, 7, 40, 300, 10_000])
async def test_events_are_counted_once_wherever_they_are_cut(size: int) -> None:
    tally = await _read(_events(FIRST, FIRST + 1, FIRST + 2), size)
    assert (tally.received, tally.lost, tally.duplicated) == (3, 0, 0)
    assert sum(tally.counts) == 3


@pytest.mark.parametrize("size", [7, 10_000])
async def test_a_missing_event_is_lost_and_one_that_comes_again_is_twice(size: int) -> None:
    gap = await _read(_events(FIRST, FIRST + 2), size)
    assert (gap.lost, gap.duplicated) == (1, 0)
    again = await _read(_events(FIRST, FIRST + 1, FIRST + 1), size)
    assert (again.lost, again.duplicated) == (0, 1)


async def test_the_latency_of_many_at_once_is_the_oldest_ones() -> None:
    tally = Tally()
    reader = Reader(Opening(0, b"", b""), tally, FIRST - 1)
    data = text(FIRST, 1_000).encode() + text(FIRST + 1, 9_000).encode()
    reader.take(data, 11_000)
    assert tally.milliseconds(0.99) == 10.0


async def test_a_reader_tells_that_it_has_reached_its_goal() -> None:
    reader, reached = Reader(Opening(0, b"", b""), Tally(), FIRST - 1), asyncio.Event()
    reader.on_reaching(FIRST + 1, reached.set)
    reader.take(_events(FIRST), microseconds())
    assert not reached.is_set()
    reader.take(_events(FIRST + 1), microseconds())
    assert reached.is_set()


def test_a_template_is_the_event_it_was_made_from_with_number_and_time() -> None:
    template = Template(b"100% " + text().encode())
    assert template.filled(1_234_567, 42) == b"100% " + text(1_234_567, 42).encode()


def test_commands_are_as_redis_reads_them() -> None:
    assert command(b"PUBLISH", b"c", b"xyz") == b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$3\r\nxyz\r\n"


def test_a_websocket_frame_is_masked_and_says_its_length() -> None:
    assert text_frame("40") == b"\x81\x82\0\0\0\x0040"
    assert text_frame("x" * 200)[:4] == b"\x81\xfe\x00\xc8"


def test_a_response_is_whole_when_all_of_its_body_is_there() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    assert whole(response) == len(response)
    assert whole(response[:-1]) is None
    assert whole(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n") == 48


async def test_prepared_reports_are_those_that_a_worker_would_write(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as process, connect(f"redis://127.0.0.1:{process.port}") as redis:
        server = SmartVoice(process, process)
        producer = await server.producer(2, fast=False)
        for number in range(FIRST, FIRST + 3):
            producer.send(1, number)
        await producer.settle()
        log = EventLog(redis, Settings(redis_url=f"redis://127.0.0.1:{process.port}", secret_key=SecretStr(SECRET)))
        entries = (await log.read(user(1), Cursor(0, 0), 100)).entries[-3:]
        assert [json.loads(entry.data)["n"] for entry in entries] == [str(number) for number in range(FIRST, FIRST + 3)]
        job = keys.job(user(1), entries[-1].job)
        assert await redis.hget(job, "version") == str(entries[-1].id).encode()
        # Whoever no longer holds the job is told so.
        await redis.hset(job, "attempt", "7")
        producer.send(1, FIRST + 3)
        with pytest.raises(RuntimeError, match="refused"):
            await producer.settle()
        producer.close()
