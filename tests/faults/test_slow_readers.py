"""A client that reads slowly, or not at all, costs next to nothing and is let go."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
from redis.asyncio import Redis

from app.core.eventlog.log import EventLog
from app.core.ids import new_id
from app.core.jobs.progress import progress
from app.core.jobs.service import JobRequest, Jobs
from app.core.vocabulary import NARRATION
from tests.faults.publisher import make_project
from tests.faults.readers import Crowd, SseReader, Stalled, Told, logged, narrow_socket
from tests.faults.rig import Rig, Web, connections_to, memory_kb
from tests.support import NoDispatcher, until

USER = "alice"
STALLED = 20
FEW, MANY = 40, 360
EVENTS = 10_000
REPORTS = 97
MESSAGE = "x" * 500
JOBS_AT_ONCE = 10
MAX_KB_EACH = 100
A_LITTLE_BYTES = 4096
SEND_TIMEOUT = 2


async def narrate(jobs: Jobs, project: str) -> None:
    """One job with 100 events of up to 1 KB."""
    job, _ = await jobs.create(USER, JobRequest(NARRATION, project, "en", chapter=new_id()))
    claim = await jobs.claim(USER, job.id, "start")
    for done in range(1, REPORTS + 1):
        told = progress(NARRATION, "synthesis", "en", done=done, total=REPORTS).model_copy(update={"message": MESSAGE})
        await jobs.report(claim, told, thin=done > 1)
    await jobs.fail(claim, "tts_failed", MESSAGE)


async def narrate_much(rig: Rig, redis: Redis, meanwhile: Callable[[], None] = lambda: None) -> None:
    """10 000 events for one user, as fast as it goes; `meanwhile` is called a hundred times."""
    jobs = Jobs(redis, EventLog(redis, rig.settings), rig.settings, NoDispatcher())
    project = await make_project(redis, USER)
    for _ in range(EVENTS // (REPORTS + 3) // JOBS_AT_ONCE):
        for ended in asyncio.as_completed([narrate(jobs, project) for _ in range(JOBS_AT_ONCE)]):
            await ended
            meanwhile()


@asynccontextmanager
async def stalled(web: Web, token: str, number: int) -> AsyncIterator[None]:
    """So many clients with an open stream each, which they do not read."""
    clients = [Stalled(web.port, token) for _ in range(number)]
    try:
        for client in clients:
            assert await asyncio.to_thread(client.is_open)
        yield
    finally:
        for client in clients:
            client.close()


async def growth_kb(rig: Rig, stalled_readers: int) -> int:
    """How much memory a web process takes on while one reader keeps up with 10 000 events and others read nothing."""
    web = await rig.web(send_timeout_seconds=60, max_streams_per_user=MANY + 1)
    keen = Crowd([SseReader([web.port], USER, rig.token(USER))])
    async with rig.client as redis, keen.reading():
        before = memory_kb(web.pid)
        async with stalled(web, rig.token(USER), stalled_readers):
            await narrate_much(rig, redis)
            last = (await logged(redis, USER))[-1].id
            await until(lambda: keen.readers[0].cursor == last)
            grown = memory_kb(web.pid) - before
            assert connections_to(web.port) > stalled_readers
        await redis.flushall()
    await web.stop()
    return grown


@asynccontextmanager
async def status_of_a_poll(rig: Rig, web: Web) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """Asks for one place more than the stalled streams have, and lets it go at once; what the server says to that."""
    headers = {"Authorization": f"Bearer {rig.token(USER)}", "Accept": "application/json"}
    async with httpx.AsyncClient(base_url=web.address, headers=headers, trust_env=False) as http:

        async def ask() -> int:
            return (await http.get("/api/events?after=1-1&wait=0")).status_code

        assert await ask() == httpx.codes.OK
        yield ask


def ends(events: list[Told]) -> list[Told]:
    return [event for event in events if not event.type.endswith(":progress")]


def is_part_of(part: list[Told], whole: list[Told]) -> bool:
    """Whether all of `part` is in `whole` in the same order, each once."""
    rest = iter(whole)
    return all(event in rest for event in part)


class SlowReader(SseReader):
    """Takes as much as it may, with small buffers, so that what it does not take stays with the server."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__([port], USER, token)
        self._taken = 0
        self._allowed = A_LITTLE_BYTES

    def take_a_little(self) -> None:
        self._allowed += A_LITTLE_BYTES

    def take_all(self) -> None:
        self._allowed = sys.maxsize

    async def _open(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(sock=narrow_socket(port), limit=A_LITTLE_BYTES)

    async def _chunks(self, source: asyncio.StreamReader) -> AsyncIterator[bytes]:
        async for chunk in super()._chunks(source):
            await until(lambda: self._taken < self._allowed, timeout=60)
            self._taken += len(chunk)
            yield chunk


async def test_client_that_never_reads_costs_less_than_100_kb(rig: Rig) -> None:
    # A few live in memory that the process has left over from its start; many show what each one more costs.
    few = await growth_kb(rig, FEW)
    each = (await growth_kb(rig, MANY) - few) / (MANY - FEW)
    assert each < MAX_KB_EACH


async def test_client_that_never_reads_is_let_go_at_the_send_timeout(rig: Rig) -> None:
    web = await rig.web(send_timeout_seconds=SEND_TIMEOUT, max_streams_per_user=STALLED)
    async with rig.client as redis, status_of_a_poll(rig, web) as status:
        before = connections_to(web.port)
        async with stalled(web, rig.token(USER), STALLED):
            assert await status() == httpx.codes.TOO_MANY_REQUESTS
            # The system's own buffers take some megabytes before a server notices: events go on until all are let go,
            # and what was left to be sent is dropped with the connections.
            while connections_to(web.port) > before:
                await narrate_much(rig, redis)
            assert await status() == httpx.codes.OK
    assert "Traceback" not in web.output


async def test_slow_client_gets_every_end_and_only_the_latest_progress(rig: Rig) -> None:
    web = await rig.web(send_timeout_seconds=60)
    reader = SlowReader(web.port, rig.token(USER))
    async with rig.client as redis, Crowd([reader]).reading():
        await narrate_much(rig, redis, meanwhile=reader.take_a_little)
        reader.take_all()
        log = await logged(redis, USER)
        await until(lambda: reader.cursor == log[-1].id)
    assert ends(reader.events) == ends(log)
    assert len(reader.events) < len(log) / 2
    assert is_part_of(reader.events, log)
    assert not reader.controls["reset"]
    assert reader.connections == 1
