"""Progress as it is told: never back within an attempt, and with an honest estimate of what is left."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from app.core.errors import Refused
from app.core.jobs.progress import Progress
from app.core.jobs.service import Claim, JobRequest, Jobs
from app.core.redis import keys
from app.core.vocabulary import NARRATION
from workers.core.report import Pace
from workers.jobs.reporter import Reporter, _Clock


@pytest.fixture
async def claim(redis: Redis, jobs: Jobs) -> Claim:
    await redis.hset(keys.project("alice", "p1"), "id", "p1")
    job, _ = await jobs.create("alice", JobRequest(NARRATION, "p1", "en", "c1"))
    return await jobs.claim("alice", job.id, "start")


class Told(Jobs):
    """Remembers what it was told, and tells nobody."""

    def __init__(self) -> None:
        self.told: list[Progress] = []

    async def report(self, claim: Claim, progress: Progress, *, thin: bool, kept: bool = False) -> str:
        self.told.append(progress)
        return "1-1"


class Refusing(Told):
    """Lets each thin report wait for its answer, which is that the job is no longer the claim's."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def report(self, claim: Claim, progress: Progress, *, thin: bool, kept: bool = False) -> str:
        if thin:
            self.asked.set()
            await self.answer.wait()
            raise Refused("stale")
        return await super().report(claim, progress, thin=thin, kept=kept)


async def test_work_waits_for_the_answer_to_a_report_that_is_under_way(claim: Claim) -> None:
    """So a worker that was frozen, and lost its job meanwhile, begins nothing when it wakes."""
    jobs = Refusing()
    async with Reporter(jobs, claim, per_second=2) as report:
        await report("synthesis", 0, 10)
        await report("synthesis", 1, 10)
        await jobs.asked.wait()
        going_on = asyncio.create_task(report("synthesis", 2, 10))
        done, _ = await asyncio.wait({going_on}, timeout=0.1)
        assert not done
        jobs.answer.set()
        with pytest.raises(Refused):
            await going_on


async def test_progress_never_falls_within_an_attempt(claim: Claim) -> None:
    jobs = Told()
    async with Reporter(jobs, claim, per_second=1_000_000) as report:
        for stage, done in [("start", 0), ("synthesis", 0), ("synthesis", 5), ("synthesis", 3), ("synthesis", 10)]:
            await report(stage, done, 10)
        await report("upload", 0, 0)
    percentages = [progress.percentage for progress in jobs.told]
    assert percentages == sorted(percentages)
    assert [progress.units_done for progress in jobs.told if progress.stage == "synthesis"] == [0, 5, 10]


def test_what_was_there_already_is_no_sign_of_speed() -> None:
    now = 0.0
    clock = _Clock(lambda: now)
    for _ in range(50):
        now += 0.01
        assert clock.left(Pace(0, 1000)) is None
    now += 2
    assert clock.left(Pace(100, 1000)) == pytest.approx(18)
    now += 0.5  # kept ones in between
    assert clock.left(Pace(100, 1000)) == pytest.approx(18)
    now += 2
    assert clock.left(Pace(200, 1000)) == pytest.approx(16)
    now += 16
    assert clock.left(Pace(1000, 1000)) == 0


def test_all_there_leaves_nothing_to_wait_for() -> None:
    assert _Clock(lambda: 0.0).left(Pace(0, 0)) is None
