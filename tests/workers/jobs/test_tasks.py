"""A job's way through a worker, without Dramatiq: a step that takes longer than the lease is not taken away."""

from __future__ import annotations

from redis.asyncio import Redis

from app.core.eventlog.log import EventLog
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Claim, JobRequest, Jobs
from app.core.projects.deletion import ProjectDeletion
from app.core.projects.service import Projects, UploadedManuscript
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.vocabulary import NARRATION
from tests.support import NoDispatcher, until
from workers.core.report import ProgressCallback
from workers.engines.espeak import Espeak
from workers.jobs import tasks
from workers.runtime.context import Runtime


async def test_step_that_takes_longer_than_the_lease_is_left_to_its_worker(settings: Settings, redis: Redis) -> None:
    quick = settings.model_copy(update={"lease_seconds": 1.5, "requeue_seconds": 1.5})
    storage = Storage.of(quick)
    jobs = Jobs(redis, EventLog(redis, quick), quick, NoDispatcher())
    projects = Projects(redis, storage, jobs, quick)
    queue = WorkQueue(quick.queue)
    deletion = ProjectDeletion(redis, storage, jobs, quick)
    runtime = Runtime(quick, redis, storage, jobs, projects, deletion, queue, Espeak())
    project, _ = await projects.create("alice", UploadedManuscript(b"Hello.", "txt", "Hello", "en"))
    job, _ = await jobs.create("alice", JobRequest(NARRATION, project.id, "en", "c1"))

    async def long_step(runtime: Runtime, claim: Claim, report: ProgressCallback) -> tasks.Made:
        begun = (await redis.time())[0]
        found: list[str] = []

        async def long_over() -> bool:
            found.extend(one.id for _, one in await jobs.overdue() if one.id == claim.job.id)
            return (await redis.time())[0] >= begun + 4

        await until(long_over)
        assert found == []
        return tasks.Made({"audioUrl": "/audios/x.mp3", "durationSeconds": 1.0}, {})

    await tasks.carry_out(runtime, "alice", job.id, "start", long_step)
    done = await jobs.get("alice", NARRATION, job.id)
    assert (done.state, done.attempt) == ("completed", 1)
    await queue.aclose()
