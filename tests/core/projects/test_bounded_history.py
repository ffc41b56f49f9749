"""What is remembered of what is over is bounded for each user: ended jobs, deleted projects, browsers."""

from __future__ import annotations

from redis.asyncio import Redis

from app.auth.known_devices import KnownDevices
from app.core.eventlog.log import EventLog
from app.core.jobs.service import JobRequest, Jobs
from app.core.projects.service import Projects, UploadedManuscript
from app.core.redis import keys
from app.core.redis.client import names
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.vocabulary import NARRATION
from tests.support import NoDispatcher

USER = "alice"


def jobs_of(redis: Redis, settings: Settings) -> Jobs:
    return Jobs(redis, EventLog(redis, settings), settings, NoDispatcher())


async def test_of_many_ended_jobs_the_oldest_are_forgotten_whole(redis: Redis, settings: Settings) -> None:
    jobs = jobs_of(redis, settings.model_copy(update={"max_ended_jobs": 3}))
    await redis.hset(keys.project(USER, "p1"), "id", "p1")
    ended = []
    for _ in range(8):
        job, _ = await jobs.create(USER, JobRequest(NARRATION, "p1", "en", "c1"))
        await jobs.cancel(USER, NARRATION, job.id)
        ended.append(job.id)
    still_open, _ = await jobs.create(USER, JobRequest(NARRATION, "p1", "en", "c1"))
    assert [job is not None for job in await jobs.find_all(USER, ended)] == [False] * 5 + [True] * 3
    kept = names(await redis.smembers(keys.all_project_jobs(USER, "p1")))
    assert set(kept) == {*ended[5:], still_open.id}
    assert await redis.zcard(keys.ended(USER)) == 3


async def test_jobs_that_ended_long_ago_leave_their_project(redis: Redis, settings: Settings) -> None:
    jobs = jobs_of(redis, settings)
    await redis.hset(keys.project(USER, "p1"), "id", "p1")
    for number in range(2):
        job, _ = await jobs.create(USER, JobRequest(NARRATION, "p1", "en", f"c{number}"))
        await redis.zadd(keys.ended(USER), {f"p1 old{number}": 1})
        await redis.sadd(keys.all_project_jobs(USER, "p1"), f"old{number}")
        await jobs.cancel(USER, NARRATION, job.id)
    left = names(await redis.smembers(keys.all_project_jobs(USER, "p1")))
    assert not [id for id in left if id.startswith("old")]


async def test_of_many_deleted_projects_the_oldest_are_unknown(
    redis: Redis, settings: Settings, storage: Storage
) -> None:
    projects = Projects(redis, storage, jobs_of(redis, settings), settings)
    await redis.zadd(keys.deletions(USER), {f"p{number}": number for number in range(1000)})
    await redis.set(keys.deleted(USER, "p0"), "1")
    await redis.set(keys.deleted(USER, "p1"), "1")
    project, _ = await projects.create(USER, UploadedManuscript(b"x", "txt", "A book", "en"))
    await projects.delete(USER, project.id)
    standing = [await projects.standing(USER, id) for id in (project.id, "p1", "p0")]
    assert standing == ["deleted", "deleted", "unknown"]
    assert await redis.zcard(keys.deletions(USER)) == 1000


async def test_of_many_browsers_the_oldest_are_forgotten(redis: Redis) -> None:
    devices = KnownDevices(redis)
    tokens = [await devices.remember(USER) for _ in range(103)]
    assert [await devices.knows(token, USER) for token in (tokens[0], tokens[2], tokens[3], tokens[-1])] == [
        *(False, False),
        *(True, True),
    ]
    assert len(await redis.keys("sv:device:*")) == 100
