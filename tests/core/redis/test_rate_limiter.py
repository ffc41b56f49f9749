"""A user's rates hold over all processes, and mend by themselves."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from app.core.errors import TooMany
from app.core.redis import keys
from app.core.redis.rate_limiter import RateLimiter
from app.core.settings import Settings
from tests.support import until

HOUR_US = 3_600_000_000


def rates(redis: Redis, settings: Settings, changes: int, uploads: int = 1000) -> RateLimiter:
    limits = {"max_changes_per_minute": changes, "max_uploads_per_minute": uploads}
    return RateLimiter(redis, settings.model_copy(update=limits))


async def passes(limits: RateLimiter, *what: str) -> bool:
    try:
        await limits.count("alice", *what)  # type: ignore[arg-type] # the names of rates
    except TooMany:
        return False
    return True


async def test_burst_of_a_minute_passes_and_then_one_after_the_other(redis: Redis, settings: Settings) -> None:
    limits = rates(redis, settings, changes=120)
    begun = await redis.time()
    passed = await asyncio.gather(*(passes(limits, "changes") for _ in range(300)))
    ended = await redis.time()
    earned = (ended[0] - begun[0] + 1) * 2
    assert 120 <= sum(passed) <= 120 + earned
    await until(lambda: passes(limits, "changes"))
    assert 0 < await redis.pttl(keys.rate("alice", "changes")) <= 60_000


async def test_refused_request_is_told_when_to_come_again(redis: Redis, settings: Settings) -> None:
    limits = rates(redis, settings, changes=1)
    await limits.count("alice", "changes")
    with pytest.raises(TooMany) as caught:
        await limits.count("alice", "changes")
    assert caught.value.code == "too_many_changes"
    assert 0 < (caught.value.retry_after or 0) <= 60
    await limits.count("bob", "changes")


async def test_refusal_by_one_rate_counts_towards_none(redis: Redis, settings: Settings) -> None:
    limits = rates(redis, settings, changes=3, uploads=1)
    await limits.count("alice", "changes", "uploads")
    with pytest.raises(TooMany) as caught:
        await limits.count("alice", "changes", "uploads")
    assert caught.value.code == "too_many_uploads"
    assert [await passes(limits, "changes") for _ in range(3)] == [True, True, False]


async def test_clock_that_was_set_back_locks_nobody_out(redis: Redis, settings: Settings) -> None:
    limits = rates(redis, settings, changes=60)
    now = (await redis.time())[0] * 1_000_000
    await redis.set(keys.rate("alice", "changes"), now + HOUR_US)
    assert await passes(limits, "changes")
