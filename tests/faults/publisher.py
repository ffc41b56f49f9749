"""A steady publisher: jobs of many users from beginning to end, a step at a time, and the log that tells the truth."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.errors import Refused
from app.core.eventlog.log import EventLog
from app.core.ids import new_id
from app.core.jobs.progress import progress
from app.core.jobs.service import Claim, JobRequest, Jobs
from app.core.projects.models import Project
from app.core.redis import keys
from app.core.redis.client import fields
from app.core.settings import Settings
from app.core.timestamps import now
from app.core.vocabulary import NARRATION
from tests.support import NoDispatcher


async def make_project(redis: Redis, user: str) -> str:
    """The id of a project that jobs can be made for."""
    project = Project(
        id=new_id(),
        title="A book",
        language="en",
        voice=None,
        format="txt",
        characters=0,
        chapter_count=0,
        created_at=now(),
        updated_at=now(),
    )
    record = {name: "" if value is None else str(value) for name, value in project.json_dict().items()}
    await redis.hset(keys.project(user, project.id), mapping=fields(record))
    await redis.zadd(keys.projects(user), {project.id: 1})
    return project.id


@dataclass
class _Work:
    """One job on its way, and the step that is next."""

    user: str
    project: str
    job: str = ""
    claim: Claim | None = None
    done: int = 0


class Publisher:
    """Takes jobs of many users from beginning to end, one step at a time, at a steady rate.

    A step whose answer is lost may have been done or not: its job is left, and the log is the truth.
    """

    STEPS = 8

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._jobs = Jobs(redis, EventLog(redis, settings), settings, NoDispatcher())
        self._work: list[_Work] = []
        self.steps = 0
        self.unknown = 0

    async def prepare(self, users: Sequence[str]) -> None:
        """A project for each user, so that there is something to tell of."""
        self._work = [_Work(user, await make_project(self._redis, user)) for user in users]

    async def run(self, steps: int, rate: float) -> None:
        """Does so many steps that succeed, at most `rate` a second."""
        loop = asyncio.get_running_loop()
        begin, target = loop.time(), self.steps + steps
        for turn in range(sys.maxsize):
            if self.steps >= target:
                return
            await asyncio.sleep(max(0.0, begin + turn / rate - loop.time()))
            await self._try(self._work[turn % len(self._work)])

    async def _try(self, work: _Work) -> None:
        try:
            await self._step(work)
            self.steps += 1
        except (RedisError, OSError, Refused):
            self.unknown += 1
            work.job, work.claim, work.done = "", None, 0

    async def _step(self, work: _Work) -> None:
        if not work.job:
            job, _ = await self._jobs.create(work.user, JobRequest(NARRATION, work.project, "en", chapter=new_id()))
            work.job = job.id
        elif work.claim is None:
            work.claim = await self._jobs.claim(work.user, work.job, "start")
        elif work.done < self.STEPS:
            work.done += 1
            told = progress(NARRATION, "synthesis", "en", done=work.done, total=self.STEPS)
            await self._jobs.report(work.claim, told, thin=work.done > 1)
        else:
            await self._jobs.complete(work.claim, {"audioUrl": "/audios/x.mp3", "durationSeconds": 1.5}, {})
            work.job, work.claim, work.done = "", None, 0
