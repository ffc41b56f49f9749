"""The wall clock of Redis' machine jumps: leases, rates and the living do not care for longer than seconds."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from redis.asyncio import Redis

from app.auth.signin_throttle import AttemptRate, Charge, SignInThrottle
from app.core.errors import Refused, TooMany
from app.core.eventlog.log import EventLog
from app.core.jobs.service import JobRequest, Jobs
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.redis.rate_limiter import RateLimiter
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from app.streaming.slots import StreamSlots
from tests import fake_clock
from tests.fake_clock import HOUR
from tests.support import NoDispatcher, until

ORDER = JobRequest(NARRATION, "p1", "en", "c1")


@pytest.fixture
async def server() -> AsyncIterator[fake_clock.Redis]:
    async with fake_clock.clocked() as server:
        yield server


@pytest.fixture
async def redis(server: fake_clock.Redis) -> AsyncIterator[Redis]:
    client = connect(server.url, patient=True)
    await client.hset(keys.project("alice", "p1"), "id", "p1")
    yield client
    await client.aclose()


@pytest.fixture
def quick(settings: Settings, server: fake_clock.Redis) -> Settings:
    return settings.model_copy(update={"redis_url": server.url, "lease_seconds": 1, "requeue_seconds": 0.5})


@pytest.fixture
def jobs(redis: Redis, quick: Settings) -> Jobs:
    return Jobs(redis, EventLog(redis, quick), quick, NoDispatcher())


async def jump(server: fake_clock.Redis, redis: Redis, seconds: int) -> None:
    """Sets the clock so many seconds ahead of this machine's; done when the server has seen it.

    A server may look at the clock some times a second only.
    """
    server.set(seconds)

    async def has_jumped() -> bool:
        now, _ = await redis.time()
        return abs(int(now) - time.time() - seconds) < 5

    await until(has_jumped)


async def test_clock_jumps_under_a_running_server(server: fake_clock.Redis, redis: Redis) -> None:
    before, _ = await redis.time()
    await jump(server, redis, -HOUR)
    after, _ = await redis.time()
    assert before - HOUR - 5 < after < before - HOUR + 120


@pytest.mark.parametrize("seconds", [-HOUR, -30])
@pytest.mark.parametrize("crash", [False, True], ids=["running", "crash"])
async def test_lease_of_a_lost_worker_ends_though_the_clock_was_set_back(
    server: fake_clock.Redis, redis: Redis, jobs: Jobs, seconds: int, crash: bool
) -> None:
    job, _ = await jobs.create("alice", ORDER)
    await jobs.claim("alice", job.id, "start")
    await jobs.overdue()  # so that a reaper has seen the time
    if crash:
        server.set(seconds)
        server.kill()
        await server.restart()
    else:
        await jump(server, redis, seconds)
    [(_, found)] = await until(jobs.overdue)
    assert found.id == job.id
    assert (await jobs.claim("alice", job.id, "start")).attempt == 2


async def test_job_that_nobody_began_is_found_though_the_clock_was_set_back(
    server: fake_clock.Redis, redis: Redis, jobs: Jobs
) -> None:
    job, _ = await jobs.create("alice", ORDER)
    await jobs.overdue()
    await jump(server, redis, -HOUR)
    [(_, found)] = await until(jobs.overdue)
    assert found.id == job.id


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
async def test_worker_that_renews_keeps_its_job_through_a_jump(
    server: fake_clock.Redis, redis: Redis, quick: Settings, seconds: int
) -> None:
    # A lease that no busy machine lets lapse between two lines of this test.
    own = quick.model_copy(update={"lease_seconds": 60})
    jobs = Jobs(redis, EventLog(redis, own), own, NoDispatcher())
    job, _ = await jobs.create("alice", ORDER)
    claim = await jobs.claim("alice", job.id, "start")
    assert await jobs.overdue() == []
    await jump(server, redis, seconds)
    # The reaper looks before the worker has renewed.
    assert await jobs.overdue() == []
    for _ in range(3):
        assert await jobs.renew(claim)
        assert await jobs.overdue() == []
        with pytest.raises(Refused, match="leased"):
            await jobs.claim("alice", job.id, "start")


async def test_jump_between_two_looks_within_a_millisecond_takes_no_job(
    server: fake_clock.Redis, redis: Redis, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = await jobs.create("alice", ORDER)
    await jobs.claim("alice", job.id, "start")
    monkeypatch.setattr("app.core.jobs.service.time", SimpleNamespace(monotonic=lambda: 1.0, time=time.time))
    assert await jobs.overdue() == []
    await jump(server, redis, HOUR)
    assert await jobs.overdue() == []


async def test_jobs_in_line_stay_there_when_the_clock_is_set_back(
    server: fake_clock.Redis, redis: Redis, quick: Settings
) -> None:
    one = quick.model_copy(update={"narrations_per_user": 1})
    jobs = Jobs(redis, EventLog(redis, one), one, NoDispatcher())
    await jobs.create_all("alice", [JobRequest(NARRATION, "p1", "en", f"c{number}") for number in range(3)])
    await jobs.overdue()
    await jump(server, redis, -HOUR)
    await until(jobs.overdue)
    assert await redis.zcount(keys.open_jobs("alice"), "inf", "inf") == 2


@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
async def test_who_was_not_too_fast_is_not_refused_when_the_clock_jumps(
    server: fake_clock.Redis, redis: Redis, quick: Settings, seconds: int
) -> None:
    rates = RateLimiter(redis, quick)
    await jump(server, redis, seconds)
    await rates.count("alice", "changes")
    for other in (0, seconds, 0):
        await jump(server, redis, other)
        await rates.count("alice", "changes")


async def test_who_was_too_fast_waits_no_longer_when_the_clock_is_set_back(
    server: fake_clock.Redis, redis: Redis
) -> None:
    throttle = SignInThrottle(redis)
    charge = Charge("name", "alice", AttemptRate(5, 60))
    for _ in range(5):
        await throttle.charge([charge])
    await jump(server, redis, -HOUR)
    with pytest.raises(TooMany) as refused:
        await throttle.charge([charge])
    assert refused.value.retry_after is not None
    assert refused.value.retry_after <= 120


async def test_web_process_that_was_lost_does_not_live_on_when_the_clock_is_set_back(
    server: fake_clock.Redis, redis: Redis, quick: Settings
) -> None:
    async with StreamSlots(redis, quick).running():
        pass
    now, _ = await redis.time()
    await redis.zadd(keys.WEBS, {"lost": now * 1000 + 20_000})
    await jump(server, redis, -HOUR)
    async with StreamSlots(redis, quick).running():

        async def forgotten() -> bool:
            return b"lost" not in await redis.zrange(keys.WEBS, 0, -1)

        await until(forgotten)
