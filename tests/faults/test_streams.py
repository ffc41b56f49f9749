"""Whatever falls over, each of 500 readers has each event of its user once, in order, when all is up again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from redis.asyncio import Redis

from tests.faults.publisher import Publisher
from tests.faults.readers import Crowd, SseReader, logged
from tests.faults.rig import Rig, Web
from tests.support import until

USERS = [f"user{number}" for number in range(50)]
STREAMS_EACH = 10
RATE = 200
STEPS = 900
FAULT_AFTER = 200
RUSH_EACH = 100


@dataclass(frozen=True)
class Show:
    """500 readers, and a publisher on its way."""

    redis: Redis
    crowd: Crowd[SseReader]
    publisher: Publisher
    publishing: asyncio.Task[None]

    async def reaches(self, steps: int) -> None:
        """Returns when so many steps are done."""
        await until(lambda: self.publisher.steps >= steps or self.publishing.done())

    async def check(self) -> None:
        """When all is published and read: no reader lacks an event, none has one twice, none was reset."""
        await self.publishing
        logs = {user: await logged(self.redis, user) for user in USERS}
        readers = self.crowd.readers
        await until(lambda: all(reader.cursor == logs[reader.user][-1].id for reader in readers))
        # A heartbeat says that the server has nothing more to send.
        before = [reader.controls["heartbeat"] for reader in readers]
        await until(
            lambda: all(reader.controls["heartbeat"] > old for reader, old in zip(readers, before, strict=True))
        )
        for reader in readers:
            assert reader.events == logs[reader.user]
            assert not reader.controls["reset"]
            assert set(reader.refusals) <= {503}
        assert self.crowd.total(lambda reader: len(reader.events)) >= STEPS * STREAMS_EACH


@asynccontextmanager
async def show(rig: Rig, webs: Sequence[Web]) -> AsyncIterator[Show]:
    """Readers spread over the web processes, all in their places, and events flowing."""
    redis = rig.client
    publisher = Publisher(redis, rig.settings)
    await publisher.prepare(USERS)
    ports = [web.port for web in webs]
    crowd = Crowd(
        SseReader(ports[number % len(ports) :] + ports[: number % len(ports)], user, rig.token(user))
        for user in USERS
        for number in range(STREAMS_EACH)
    )
    async with redis, crowd.reading():
        publishing = asyncio.create_task(publisher.run(STEPS, RATE))
        try:
            yield Show(redis, crowd, publisher, publishing)
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)


async def test_nothing_is_lost_when_the_web_process_is_killed(rig: Rig) -> None:
    web = await rig.web(heartbeat_seconds=1)
    async with show(rig, [web]) as running:
        await running.reaches(FAULT_AFTER)
        web.kill()
        await web.restart()
        await running.check()
        assert all(reader.connections >= 2 for reader in running.crowd.readers)


async def test_nothing_is_lost_when_redis_is_killed_and_reads_its_file_again(rig: Rig) -> None:
    web = await rig.web(heartbeat_seconds=1)
    async with show(rig, [web]) as running:
        await running.reaches(FAULT_AFTER)
        rig.redis.kill()
        await until(lambda: running.publisher.unknown)
        await rig.redis.restart()
        await running.check()
        assert "Traceback" not in web.output


async def test_nothing_is_lost_when_the_pubsub_connection_is_cut_each_second(rig: Rig) -> None:
    web = await rig.web(heartbeat_seconds=1)
    async with show(rig, [web]) as running:
        cut = 0
        for steps in range(RATE, STEPS, RATE):
            await running.reaches(steps)
            cut += await running.redis.client_kill_filter(_type="pubsub")
        await running.check()
        assert cut >= STEPS // RATE - 1
        assert "Traceback" not in web.output


@pytest.mark.parametrize("ports", ["one port", "two ports"])
async def test_readers_on_two_web_processes_are_told_the_same(rig: Rig, ports: str) -> None:
    if ports == "one port":
        webs = [await rig.web(heartbeat_seconds=1, web_processes=2)]
    else:
        webs = [await rig.web(heartbeat_seconds=1), await rig.web(heartbeat_seconds=1)]
    async with show(rig, webs) as running:
        await running.check()
        assert all(reader.connections == 1 for reader in running.crowd.readers)


async def test_rush_of_readers_with_cursors_is_let_in_without_a_refusal(rig: Rig) -> None:
    web = await rig.web()
    async with rig.client as redis:
        publisher = Publisher(redis, rig.settings)
        await publisher.prepare(USERS)
        await publisher.run(STEPS, sys.maxsize)
        logs = {user: await logged(redis, user) for user in USERS}
    rush = Crowd(
        SseReader([web.port], user, rig.token(user), cursor=logs[user][0].id)
        for user in USERS
        for _ in range(RUSH_EACH)
    )
    async with rush.reading():
        # The readers share the machine with the server: how long they take says little, what they get says all.
        await until(lambda: all(reader.cursor == logs[reader.user][-1].id for reader in rush.readers), 60)
    for reader in rush.readers:
        assert reader.events == logs[reader.user][1:]
        assert not reader.refusals
        assert reader.connections == 1
