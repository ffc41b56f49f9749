"""A user's streams are counted over all web processes, whichever of them die, freeze or lose Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.core.errors import TooMany
from app.core.redis import keys
from app.core.settings import Settings
from app.streaming.slots import StreamSlots
from tests.faults.rig import rigged
from tests.support import until

KEY = keys.streams("alice")


@asynccontextmanager
async def process(redis: Redis, settings: Settings, most: int = 3) -> AsyncIterator[StreamSlots]:
    """One web process' places, which Redis knows."""
    places = StreamSlots(redis, settings.model_copy(update={"max_streams_per_user": most}))
    async with places.running():
        await places.beat()
        yield places


async def numbers(redis: Redis) -> list[int]:
    return sorted(int(held) for held in await redis.hvals(KEY))


async def test_places_of_all_processes_count_together(redis: Redis, settings: Settings) -> None:
    async with process(redis, settings) as one, process(redis, settings) as other, AsyncExitStack() as held:
        await held.enter_async_context(one.slot("alice"))
        await held.enter_async_context(one.slot("alice"))
        async with other.slot("alice"):
            for places in (one, other):
                with pytest.raises(TooMany) as caught:
                    await held.enter_async_context(places.slot("alice"))
                assert (caught.value.code, caught.value.retry_after) == ("too_many_streams", 5)
            async with one.slot("bob"):
                pass
        await until(lambda: _is(redis, [2]))
        await held.enter_async_context(other.slot("alice"))
    assert await numbers(redis) == []
    assert await redis.exists(keys.WEBS) == 0


async def test_hundred_at_once_get_as_many_places_as_there_are(redis: Redis, settings: Settings) -> None:
    async with process(redis, settings, 10) as one, process(redis, settings, 10) as other:
        leave = asyncio.Event()
        refused = 0

        async def come(places: StreamSlots) -> None:
            nonlocal refused
            try:
                async with places.slot("alice"):
                    await leave.wait()
            except TooMany:
                refused += 1

        tasks = [asyncio.create_task(come(places)) for _ in range(50) for places in (one, other)]
        await until(lambda: refused == 90)
        assert one.total + other.total == 10
        await until(lambda: _sum(redis, 10))
        leave.set()
        await asyncio.gather(*tasks)
        await until(lambda: _is(redis, []))


async def test_places_of_a_killed_process_are_free_after_a_minute_of_its_silence(
    redis: Redis, settings: Settings
) -> None:
    await redis.hset(KEY, mapping={"killed": 3})
    now = (await redis.time())[0] * 1000
    await redis.zadd(keys.WEBS, {"killed": now + 60_000})
    async with process(redis, settings) as places:
        with pytest.raises(TooMany):
            async with places.slot("alice"):
                pass
        # A minute later.
        await redis.zadd(keys.WEBS, {"killed": now - 1})
        async with places.slot("alice"):
            assert await redis.hexists(KEY, "killed") == 0


async def test_process_that_was_taken_for_dead_counts_again_when_it_wakes(redis: Redis, settings: Settings) -> None:
    async with process(redis, settings) as frozen, process(redis, settings) as other, frozen.slot("alice"):
        before = await numbers(redis)
        # It was silent, and somebody came to the limit meanwhile.
        await redis.delete(KEY, keys.WEBS)
        await other.beat()
        await frozen.beat()
        await until(lambda: _is(redis, before))


async def test_places_given_back_while_redis_was_away_are_free_when_it_is_back() -> None:
    async with rigged() as rig, rig.client as redis, process(redis, rig.settings) as places:
        with capture_logs() as told:
            async with places.slot("alice"):
                assert await numbers(redis) == [1]
                rig.redis.kill()
            await until(lambda: any(one["event"] == "places_unwritten" for one in told))
        await rig.redis.restart()
        await places.beat()
        await until(lambda: _is(redis, []))


async def test_streams_cost_redis_one_call_each_and_their_ends_one_together(redis: Redis, settings: Settings) -> None:
    async with process(redis, settings) as places, AsyncExitStack() as held:
        await redis.config_resetstat()
        for number in range(300):
            await held.enter_async_context(places.slot(f"user{number}"))
        assert (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] <= 301
        before = (await redis.info("stats"))["total_reads_processed"]
        await held.aclose()
        await until(lambda: _gone(redis))
        # One message with all of them, and what this test asks.
        assert (await redis.info("stats"))["total_reads_processed"] - before < 100


async def _gone(redis: Redis) -> bool:
    return not await redis.keys(keys.streams("*"))


async def _is(redis: Redis, expected: list[int]) -> bool:
    return await numbers(redis) == expected


async def _sum(redis: Redis, expected: int) -> bool:
    return sum(await numbers(redis)) == expected
