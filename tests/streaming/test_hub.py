"""Readers that come and go at once, in any order, each have their subscription."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import EventLog, LogEntry, Page
from app.core.jobs.service import Jobs
from app.core.redis import keys
from app.core.settings import Settings
from app.streaming.hub import Hub
from app.streaming.wire import EventChunk
from tests.streaming.test_foreign_clients import USER, say
from tests.support import Client, until


async def test_readers_that_come_while_the_last_one_goes_hear_what_happens(
    alice: Client, log: EventLog, settings: Settings, redis: Redis
) -> None:
    channel = keys.channel("alice")

    async def listeners() -> int:
        return int(dict(await redis.pubsub_numsub(channel))[channel.encode()])

    hub = Hub(log, settings)
    async with hub.running():

        async def come_and_go() -> None:
            async with hub.reader("alice"):
                pass

        for _ in range(20):
            await asyncio.gather(*(come_and_go() for _ in range(10)))
        async with hub.reader("alice") as reader:
            start = await log.top("alice")
            waiting = asyncio.create_task(reader.read(start, 20))
            await alice.create()
            assert [entry.type for entry in await waiting] == ["parse:progress"]
        assert hub.readers == 0
        await until(lambda: _is_zero(listeners))


async def _is_zero(count: object) -> bool:
    return await count() == 0  # type: ignore[operator, no-any-return] # an async function without arguments


async def test_place_of_a_reader_that_is_cancelled_while_it_comes_in_is_free_again(
    log: EventLog, settings: Settings
) -> None:
    hub = Hub(log, settings)
    async with hub.running():

        async def stay() -> None:
            async with hub.reader("alice"):
                await asyncio.Event().wait()

        tasks = [asyncio.create_task(stay()) for _ in range(20)]
        await until(lambda: hub.readers_of("alice") == len(tasks))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert hub.readers == 0


class HeldLog(EventLog):
    """The log, whose pages travel as long as the test wants."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        super().__init__(redis, settings)
        self.read_once = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def read(self, user: str, after: Cursor, count: int) -> Page:
        page = await super().read(user, after, count)
        self.read_once.set()
        await self.goes_on.wait()
        return page


async def test_event_that_comes_while_a_reader_reads_the_log_does_not_wait_for_the_next(
    alice: Client, log: EventLog, settings: Settings, redis: Redis
) -> None:
    held = HeldLog(redis, settings)
    hub = Hub(held, settings)
    async with hub.running(), hub.reader("alice") as reader:
        waiting = asyncio.create_task(reader.read(await log.top("alice"), 20))
        await held.read_once.wait()
        await alice.create()
        await until(lambda: reader.feed.changes > 1)  # the first was the subscription
        held.goes_on.set()
        async with asyncio.timeout(5):
            assert [entry.type for entry in await waiting] == ["parse:progress"]


async def test_push_that_is_none_of_ours_holds_nothing_up(
    alice: Client, log: EventLog, settings: Settings, redis: Redis
) -> None:
    hub = Hub(log, settings)
    async with hub.running(), hub.reader("alice") as reader:
        start, changes = await reader.top(), reader.feed.changes
        await redis.publish(keys.channel("alice"), b"\xff no event")
        await until(lambda: reader.feed.changes > changes)
        await alice.create()
        assert [entry.type for entry in await reader.read(start, 20)] == ["parse:progress"]
        assert reader.feed.confirmed


class Slow:
    """A follower that takes its time, as a thousand of them do together."""

    def __init__(self, seconds: float) -> None:
        self.live = True
        self.seconds = seconds
        self.told: list[list[LogEntry]] = []

    def follow(self, writes: Sequence[EventChunk], now: float) -> None:
        self.told.append([entry for write in writes for entry in write.entries])
        time.sleep(self.seconds)

    def fell_behind(self) -> None:
        raise AssertionError("it was told of everything")

    def on_timer(self) -> None: ...


@pytest.mark.parametrize(("seconds", "joined"), [(0.02, True), (0.0, False)])
async def test_what_could_not_be_written_one_by_one_is_joined(
    log: EventLog, settings: Settings, redis: Redis, jobs: Jobs, seconds: float, joined: bool
) -> None:
    hub = Hub(log, settings)
    async with hub.running(), hub.reader(USER) as reader:
        await reader.top()
        follower = Slow(seconds)
        reader.feed.followers.add(follower)
        await say(jobs, redis, [f"No. {number}" for number in range(30)])
        top = await log.top(USER)
        await until(lambda: reader.feed.top == top)
        told = [entry.id.seq for entries in follower.told for entry in entries]
        assert told == list(range(1, top.seq + 1))
        # One by one they would have been held back for three times as long as was spent on each.
        assert (len(follower.told) <= top.seq // 2) == joined
        reader.feed.followers.discard(follower)
