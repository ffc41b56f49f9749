"""One user's narrations wait in line once as many are with the workers as may be; the line always moves."""

from __future__ import annotations

import random

import pytest
from redis.asyncio import Redis

from app.core.eventlog.log import EventLog
from app.core.eventlog.worker_capacity import WorkerCapacity
from app.core.jobs.service import JobRequest, Jobs
from app.core.redis import keys
from app.core.settings import Settings
from app.core.vocabulary import ASSEMBLY, NARRATION, PARSING, Queue
from tests.support import NoDispatcher, until

SHARE = 3


@pytest.fixture
def dispatcher() -> NoDispatcher:
    return NoDispatcher()


@pytest.fixture
async def jobs(redis: Redis, settings: Settings, dispatcher: NoDispatcher) -> Jobs:
    for user in ("alice", "bob"):
        await redis.hset(keys.project(user, "p1"), "id", "p1")
    few = settings.model_copy(update={"narrations_per_user": SHARE, "requeue_seconds": 0.3})
    return Jobs(redis, EventLog(redis, few), few, dispatcher)


async def chapters(jobs: Jobs, count: int, user: str = "alice") -> list[str]:
    orders = [JobRequest(NARRATION, "p1", "en", f"c{number}") for number in range(count)]
    return [job.id for job, _ in await jobs.create_all(user, orders)]


async def test_no_more_of_one_user_are_handed_out_than_may_be(jobs: Jobs, dispatcher: NoDispatcher) -> None:
    made = await chapters(jobs, 10)
    assert [job for _, job in dispatcher.told] == made[:SHARE]
    [first] = await chapters(jobs, 1, "bob")
    assert dispatcher.told[-1] == ("bob", first)


async def test_each_end_lets_the_next_in_line_go(jobs: Jobs, dispatcher: NoDispatcher) -> None:
    made = await chapters(jobs, 6)
    await jobs.complete(await jobs.claim("alice", made[1], "start"), {}, {})
    await jobs.fail(await jobs.claim("alice", made[0], "start"), "x", "x")
    await jobs.cancel("alice", NARRATION, made[2])
    assert [job for _, job in dispatcher.told] == made
    # A worker whose own job has ended looks for the next; of what another called off somebody must be told.
    assert dispatcher.rung == [True] * SHARE + [False, False, True]


async def test_cancelled_in_line_it_is_never_handed_out(jobs: Jobs, dispatcher: NoDispatcher) -> None:
    made = await chapters(jobs, 5)
    await jobs.cancel("alice", NARRATION, made[3])
    assert len(dispatcher.told) == SHARE
    await jobs.cancel("alice", NARRATION, made[0])
    assert dispatcher.told[-1] == ("alice", made[4])


@pytest.mark.parametrize("queue", [PARSING, ASSEMBLY])
async def test_manuscripts_and_books_wait_in_lines_of_their_own(
    jobs: Jobs, redis: Redis, dispatcher: NoDispatcher, settings: Settings, queue: Queue
) -> None:
    await chapters(jobs, 5)
    made = []
    for number in range(settings.places + 2):
        await redis.hset(keys.project("alice", f"b{number}"), "id", f"b{number}")
        made.append((await jobs.create("alice", JobRequest(queue, f"b{number}", "en")))[0].id)
    assert [job for _, job in dispatcher.told[SHARE:]] == made[: settings.places]
    await jobs.cancel("alice", queue, made[0])
    assert dispatcher.told[-1] == ("alice", made[settings.places])
    [theirs] = await chapters(jobs, 1, "bob")
    assert dispatcher.told[-1] == ("bob", theirs)


async def test_jobs_in_line_go_when_there_are_more_workers(
    redis: Redis, settings: Settings, dispatcher: NoDispatcher
) -> None:
    """A worker that starts later is used at once, not when the next job ends."""
    for user in ("alice", "bob"):
        await redis.hset(keys.project(user, "p1"), "id", "p1")
    web = WorkerCapacity(redis, settings)
    jobs = Jobs(redis, EventLog(redis, settings, web), settings, dispatcher)
    made = await chapters(jobs, 9)
    assert len(dispatcher.told) == settings.places
    async with WorkerCapacity(redis, settings, 3).running(), WorkerCapacity(redis, settings, 4).running():
        assert await web.refresh() == 7
        assert [job.id for _, job in await jobs.overdue()] == made[settings.places : 7]
    assert await web.refresh() == 0
    assert web.places == settings.places


async def test_worker_that_was_killed_counts_no_longer_and_the_clock_does_not_matter(
    redis: Redis, settings: Settings
) -> None:
    now = (await redis.time())[0] * 1000
    await redis.zadd(keys.WORKERS, {"killed 5": now - 1, "before-the-clock-was-set-back 5": now + 3_600_000})
    assert await WorkerCapacity(redis, settings, 2).refresh() == 2


async def test_job_that_an_earlier_version_ended_takes_nobody_s_place(
    jobs: Jobs, redis: Redis, dispatcher: NoDispatcher
) -> None:
    made = await chapters(jobs, SHARE)
    await redis.zrem(keys.open_jobs("alice"), made[0])
    [job] = [job.id for job, _ in [await jobs.create("alice", JobRequest(NARRATION, "p1", "en", "another"))]]
    assert dispatcher.told[-1] == ("alice", job)


async def test_job_that_is_tried_again_keeps_its_place_out_of_line(jobs: Jobs, dispatcher: NoDispatcher) -> None:
    made = await chapters(jobs, 4)
    await jobs.retry(await jobs.claim("alice", made[0], "start"), 0.2)
    assert len(dispatcher.told) == SHARE


async def test_job_in_line_is_not_overdue_and_one_that_was_let_go_unheard_is(jobs: Jobs, redis: Redis) -> None:
    made = await chapters(jobs, 4)

    found: set[str] = set()

    async def holds(*expected: str) -> bool:
        found.update(job.id for _, job in await jobs.overdue())
        return found.issuperset(expected)

    await until(lambda: holds(*made[:SHARE]))
    assert made[3] not in found
    # Whoever ends the first dies before the fourth is handed on.
    await jobs.cancel("alice", NARRATION, made[0])
    await until(lambda: holds(made[3]))


async def test_whatever_happens_as_many_are_out_as_may_be_while_any_waits(jobs: Jobs, redis: Redis) -> None:
    chance = random.Random(1)
    open_jobs: list[str] = []
    for step in range(200):
        if chance.random() < 0.6:
            job, _ = await jobs.create("alice", JobRequest(NARRATION, "p1", "en", f"c{step}"))
            open_jobs.append(job.id)
        elif open_jobs:
            await jobs.cancel("alice", NARRATION, open_jobs.pop(chance.randrange(len(open_jobs))))
        waiting = await redis.zcard(keys.line("alice", NARRATION))
        out = await redis.zcard(keys.open_jobs("alice")) - waiting
        assert out == min(SHARE, len(open_jobs))
