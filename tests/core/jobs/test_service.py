"""Jobs that nobody works on are found, by one reaper, and taken over."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from app.core.errors import Refused
from app.core.eventlog.log import EventLog
from app.core.jobs.progress import progress
from app.core.jobs.service import Claim, JobRequest, Jobs
from app.core.redis import keys
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests.support import NoDispatcher, until

ORDER = JobRequest(NARRATION, "p1", "en", "c1")


@pytest.fixture
async def jobs(redis: Redis, settings: Settings) -> Jobs:
    """Jobs whose leases and waits are over in a moment."""
    await redis.hset(keys.project("alice", "p1"), "id", "p1")
    quick = settings.model_copy(update={"lease_seconds": 1.0, "requeue_seconds": 1.0})
    return Jobs(redis, EventLog(redis, quick), quick, NoDispatcher())


async def test_job_that_nobody_began_is_found(jobs: Jobs) -> None:
    job, _ = await jobs.create("alice", ORDER)
    assert await jobs.overdue() == []
    [(user, found)] = await until(jobs.overdue)
    assert (user, found.id) == ("alice", job.id)


async def test_job_whose_worker_fell_silent_is_found_and_taken_over(jobs: Jobs) -> None:
    job, _ = await jobs.create("alice", ORDER)
    silent = await jobs.claim("alice", job.id, "start")
    with pytest.raises(Refused, match="leased"):
        await jobs.claim("alice", job.id, "start")
    await until(jobs.overdue)
    taken = await jobs.claim("alice", job.id, "start")
    assert taken.attempt == silent.attempt + 1
    with pytest.raises(Refused, match="stale"):
        await jobs.report(silent, silent.job.progress, thin=False)
    with pytest.raises(Refused, match="stale"):
        await jobs.fail(silent, "late", "Too late.")


async def test_lease_that_is_renewed_does_not_run_out(jobs: Jobs, redis: Redis) -> None:
    job, _ = await jobs.create("alice", ORDER)
    claim = await jobs.claim("alice", job.id, "start")
    first = await redis.hget(keys.job("alice", job.id), "lease")

    async def renewed_past_its_first_end() -> bool:
        assert await jobs.renew(claim)
        assert await jobs.overdue() == []
        return await redis.time() > (int(first or 0) // 1000 + 1, 0)

    await until(renewed_past_its_first_end)
    with pytest.raises(Refused, match="leased"):
        await jobs.claim("alice", job.id, "start")


async def _claimed_for_long(redis: Redis, settings: Settings) -> tuple[Jobs, Claim]:
    """A job with a lease of ten minutes."""
    await redis.hset(keys.project("alice", "p1"), "id", "p1")
    long = settings.model_copy(update={"lease_seconds": 600})
    jobs = Jobs(redis, EventLog(redis, long), long, NoDispatcher())
    job, _ = await jobs.create("alice", ORDER)
    return jobs, await jobs.claim("alice", job.id, "start")


async def test_report_renews_a_lease_that_is_no_longer_nearly_new(redis: Redis, settings: Settings) -> None:
    """A worker that tells of ten steps a second need not be leased its job ten times."""
    jobs, claim = await _claimed_for_long(redis, settings)
    job = claim.job.id

    async def until_when() -> tuple[int, int]:
        lease = await redis.hget(keys.job("alice", job), "lease")
        return int(lease or 0), int(await redis.zscore(keys.open_jobs("alice"), job) or 0)

    first = await until_when()
    assert first[0] == first[1]
    await jobs.report(claim, claim.job.progress, thin=True)
    assert await until_when() == first
    worn = first[0] - 61_000
    await redis.hset(keys.job("alice", job), "lease", str(worn))
    await jobs.report(claim, claim.job.progress, thin=True)
    renewed = await until_when()
    assert renewed[0] == renewed[1] >= first[0]


async def test_log_is_given_its_lifetime_with_the_lease_and_a_new_one_always(redis: Redis, settings: Settings) -> None:
    jobs, claim = await _claimed_for_long(redis, settings)
    whole = settings.log_days * 86400

    async def left() -> float:
        return float(await redis.ttl(keys.log("alice")))

    await redis.expire(keys.log("alice"), 500_000)
    await jobs.report(claim, claim.job.progress, thin=True)
    assert await left() <= 500_000, "it was given a moment ago"
    await redis.hset(keys.job("alice", claim.job.id), "lease", "0")
    await jobs.report(claim, claim.job.progress, thin=True)
    assert whole - 60 <= await left() <= whole
    await redis.delete(keys.log("alice"))
    await jobs.report(claim, claim.job.progress, thin=True)
    assert whole - 60 <= await left() <= whole, "this is another log"


async def test_lease_is_renewed_for_its_own_worker_only(jobs: Jobs) -> None:
    job, _ = await jobs.create("alice", ORDER)
    lost = await jobs.claim("alice", job.id, "start")
    await until(jobs.overdue)
    taken = await jobs.claim("alice", job.id, "start")
    assert not await jobs.renew(lost)
    assert await jobs.renew(taken)
    await jobs.cancel("alice", job.queue, job.id)
    assert not await jobs.renew(taken)


async def lost(jobs: Jobs, job: str, *, kept: bool) -> int:
    """How many losses the job has when the worker is lost that takes it now, after it `kept` something or not."""
    claim = await jobs.claim("alice", job, "start")
    told = progress(NARRATION, "synthesis", "en", done=1, total=9)
    await jobs.report(claim, told, thin=False, kept=kept)
    await until(jobs.overdue)
    return claim.losses


async def test_only_losses_without_progress_in_between_are_counted(jobs: Jobs) -> None:
    job, _ = await jobs.create("alice", ORDER)
    counted = [await lost(jobs, job.id, kept=True) for _ in range(5)]
    assert counted == [0, 1, 1, 1, 1]
    assert [await lost(jobs, job.id, kept=False) for _ in range(2)] == [1, 2]
    with pytest.raises(Refused, match="lost"):
        await jobs.claim("alice", job.id, "start")
    ended = await jobs.get("alice", NARRATION, job.id)
    assert ended.error is not None
    assert ended.error.code == "worker_lost"


async def test_worker_that_dies_while_a_job_is_parked_is_not_counted_against_it(jobs: Jobs) -> None:
    job, _ = await jobs.create("alice", ORDER)
    counted = []
    for parked in (True, True, False, True):
        claim = await jobs.claim("alice", job.id, "start")
        counted.append(claim.losses)
        assert await jobs.renew(claim, parked=parked)
        await until(jobs.overdue)
    assert counted == [0, 0, 0, 1]


async def test_of_many_reapers_one_finds_a_job(jobs: Jobs) -> None:
    await jobs.create("alice", ORDER)
    finds = 0

    async def found() -> bool:
        nonlocal finds
        finds += sum(map(len, await asyncio.gather(*(jobs.overdue() for _ in range(8)))))
        return finds > 0

    await until(found)
    assert finds == 1


async def test_job_that_ended_is_not_found(jobs: Jobs, redis: Redis) -> None:
    job, _ = await jobs.create("alice", ORDER)
    await jobs.cancel("alice", job.queue, job.id)
    assert not await redis.exists(keys.open_jobs("alice"))
