"""Jobs: made by those who ask, taken and reported on by workers, ended exactly once; each step is events in the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from app.core import keys
from app.core.errors import NotFound, Refused, TooMany
from app.core.eventlog import Event, EventLog, Write
from app.core.messages import LANGUAGES, NARRATION, PARSING, Language, Progress, Queue, progress
from app.core.models import MANUSCRIPT, ErrorDetail, Job, compact, new_id, now
from app.core.redis import decoded, names
from app.core.settings import Settings

PREFIX: dict[Queue, str] = {PARSING: "parse", NARRATION: "audio"}
"""What the types of a queue's events begin with."""

_OVERDUE = files("app.core").joinpath("overdue.lua").read_text()
_RENEW = files("app.core").joinpath("renew.lua").read_text()
_MOST_OVERDUE = 100
_DETAIL_CHARACTERS = 500


@dataclass(frozen=True)
class Order:
    """What a job is asked to do: its queue, its project, for an audio job its chapter, and the language it speaks."""

    queue: Queue
    project: str
    language: Language
    chapter: str | None = None

    @property
    def owner(self) -> str:
        return self.chapter or MANUSCRIPT


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job: what it writes with an attempt that is no longer the job's is refused.

    `stage` is the one that the job entered by being taken.
    """

    user: str
    job: Job
    language: Language
    attempt: int
    stage: str


class Jobs:
    """The jobs of all users in one Redis. Times are Redis' own."""

    def __init__(self, redis: Redis, log: EventLog, settings: Settings) -> None:
        self._redis = redis
        self._log = log
        self._settings = settings
        self._overdue = redis.register_script(_OVERDUE)
        self._renew = redis.register_script(_RENEW)

    async def create(self, user: str, order: Order) -> tuple[Job, bool]:
        """A waiting job, and whether it is new: while one is open for the same thing that one is returned.

        Raises NotFound where the project is gone, TooMany (`too_many_jobs`); RedisError.
        """
        job = _fresh(order)
        # First the reaper's list, then the job: a crash between leaves a name too many, never a job too few.
        await self._redis.zadd(keys.BUSY, {user: int(time.time() * 1000)})
        fields = _record(job) | {"language": order.language}
        try:
            done = await self._log.append(
                _write(user, job, "new", 0, [_progressed(job, job.progress)], fields, self._settings.requeue_seconds)
            )
        except Refused as refused:
            if refused.reason == "full":
                raise TooMany(
                    "You have too many unfinished jobs; wait for some to end.", code="too_many_jobs", retry_after=30
                ) from refused
            raise NotFound("There is no such project.") from refused
        if done.existing:
            return await self.get(user, order.queue, done.existing), False
        return job.model_copy(update={"version": done.version}), True

    async def create_all(self, user: str, orders: Sequence[Order]) -> list[tuple[Job, bool]]:
        """`create` for each, in order."""
        return [await self.create(user, order) for order in orders]

    async def get(self, user: str, queue: str, job: str) -> Job:
        """One job. Raises NotFound where the user has no such job in that queue."""
        found = await self.find(user, job)
        if found is None or found.queue != queue:
            raise NotFound("There is no such job.")
        return found

    async def find(self, user: str, job: str) -> Job | None:
        [found] = await self.find_all(user, [job])
        return found

    async def find_all(self, user: str, jobs: Sequence[str]) -> list[Job | None]:
        """The jobs with these ids, None for each that is gone."""
        if not jobs:
            return []
        async with self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hgetall(keys.job(user, job))
            records = await pipe.execute()
        return [Job.from_record(decoded(record)) if record else None for record in records]

    async def latest(self, user: str, project: str) -> dict[str, Job]:
        """The latest job for each thing of a project that can be made: by chapter id, and `manuscript`."""
        made = decoded(await self._redis.hgetall(keys.project_jobs(user, project)))
        found = await self.find_all(user, list(made.values()))
        return {owner: job for owner, job in zip(made, found, strict=True) if job is not None}

    async def cancel(self, user: str, queue: str, job: str) -> Job:
        """Ends a job that has not ended; the worker at it is refused from then on. Idempotent. Raises NotFound."""
        current = await self.get(user, queue, job)
        at = now()
        event = Event(f"{PREFIX[current.queue]}:cancelled", compact(_data(current, current.attempt, at)))
        try:
            await self._log.append(
                _write(user, current, "command", 0, [event], {"state": "cancelled", "updatedAt": at}, ends=True)
            )
        except Refused as refused:
            if refused.reason == "gone":
                raise NotFound("There is no such job.") from refused
        return await self.get(user, queue, job)

    async def claim(self, user: str, job: str, first: str) -> Claim:
        """Takes a job for this worker and reports its stage `first`; the attempt is one higher than the last.

        Raises Refused: `gone`, `final`, `leased` (another worker is at it), `stale` (another was quicker).
        """
        record = decoded(await self._redis.hgetall(keys.job(user, job)))
        if not record:
            raise Refused("gone")
        found = Job.from_record(record)
        language = next((known for known in LANGUAGES if known == record.get("language")), LANGUAGES[0])
        claim = Claim(user, found, language, found.attempt + 1, first)
        begun = progress(found.queue, first, language)
        at = now()
        fields = {"state": "active", "attempt": str(claim.attempt), "progress": _json(begun), "updatedAt": at}
        event = _progressed(found, begun, claim.attempt, at)
        await self._log.append(
            _write(user, found, "claim", found.attempt, [event], fields, self._settings.lease_seconds)
        )
        return claim

    async def report(self, claim: Claim, progress: Progress, *, thin: bool) -> str:
        """Tells how far the job is, and renews the lease. `thin`: within a stage. Returns the event's id.

        Raises Refused: `gone`, `final`, `stale`.
        """
        at = now()
        event = _progressed(claim.job, progress, claim.attempt, at, thin=thin)
        fields = {"state": "active", "progress": _json(progress), "updatedAt": at}
        done = await self._log.append(
            _write(claim.user, claim.job, "report", claim.attempt, [event], fields, self._settings.lease_seconds)
        )
        return done.version

    async def renew(self, claim: Claim) -> bool:
        """Keeps the job for its worker for another `lease_seconds`; False where it is no longer that worker's."""
        names = [keys.job(claim.user, claim.job.id), keys.open_jobs(claim.user)]
        lease = int(self._settings.lease_seconds * 1000)
        return bool(await self._renew(keys=names, args=[claim.job.id, claim.attempt, lease]))

    async def complete(self, claim: Claim, result: Mapping[str, Any], records: Mapping[str, Mapping[str, str]]) -> None:
        """Ends the job well: stage `done`, then the terminal event with `result`; `records` change in the same step.

        Raises Refused: `gone`, `final`, `stale`.
        """
        at = now()
        job = claim.job
        done = progress(job.queue, "done", claim.language)
        events = [
            _progressed(job, done, claim.attempt, at),
            Event(f"{PREFIX[job.queue]}:complete", compact(_data(job, claim.attempt, at) | dict(result))),
        ]
        fields = {"state": "completed", "progress": _json(done), "result": compact(result), "updatedAt": at}
        await self._log.append(
            _write(claim.user, job, "report", claim.attempt, events, fields, ends=True, records=records)
        )

    async def fail(self, claim: Claim, code: str, message: str) -> None:
        """Ends the job with the reason why it cannot be done. Raises Refused: `gone`, `final`, `stale`."""
        at = now()
        # Whatever a library said, half a surrogate pair included, must not keep the job from ending.
        said = message[:_DETAIL_CHARACTERS].encode("utf-8", "replace").decode()
        error = ErrorDetail(code=code, message=said).json_dict()
        data = _data(claim.job, claim.attempt, at) | {"error": error}
        event = Event(f"{PREFIX[claim.job.queue]}:failed", compact(data))
        fields = {"state": "failed", "error": compact(error), "updatedAt": at}
        await self._log.append(_write(claim.user, claim.job, "report", claim.attempt, [event], fields, ends=True))

    async def overdue(self) -> list[tuple[str, Job]]:
        """Open jobs that nobody began or whose worker fell silent, each put off once more, to be enqueued anew."""
        users = names(await self._redis.zrange(keys.BUSY, 0, -1))
        found = await asyncio.gather(*(self._overdue_of(user) for user in users))
        return [(user, job) for user, jobs in zip(users, found, strict=True) for job in jobs]

    async def _overdue_of(self, user: str) -> list[Job]:
        put_off = int(self._settings.requeue_seconds * 1000)
        late = names(await self._overdue(keys=[keys.open_jobs(user)], args=[put_off, _MOST_OVERDUE]))
        if not late:
            await self._forget_idle(user)
        return [job for job in await self.find_all(user, late) if job is not None]

    async def _forget_idle(self, user: str) -> None:
        since = await self._redis.zscore(keys.BUSY, user)
        # An hour's grace: a user is listed before their job is made.
        if (
            since is not None
            and since < (time.time() - 3600) * 1000
            and not await self._redis.exists(keys.open_jobs(user))
        ):
            await self._redis.zrem(keys.BUSY, user)


def _fresh(order: Order) -> Job:
    at = now()
    return Job(
        id=new_id(),
        queue=order.queue,
        project_id=order.project,
        chapter_id=order.chapter,
        state="waiting",
        progress=progress(order.queue, "queued", order.language),
        attempt=0,
        version="",
        created_at=at,
        updated_at=at,
    )


def _record(job: Job) -> dict[str, str]:
    """The job as its hash; its version is the appending script's to write."""
    return {
        "id": job.id,
        "queue": job.queue,
        "projectId": job.project_id,
        "chapterId": job.chapter_id or "",
        "state": job.state,
        "progress": _json(job.progress),
        "attempt": str(job.attempt),
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
    }


def _json(progress: Progress) -> str:
    return compact(progress.model_dump(by_alias=True))


def _data(job: Job, attempt: int, at: str) -> dict[str, Any]:
    """What every event of a job says."""
    data = {"projectId": job.project_id, "jobId": job.id, "at": at, "attempt": attempt}
    return data | ({"chapterId": job.chapter_id} if job.chapter_id else {})


def _progressed(
    job: Job, progress: Progress, attempt: int | None = None, at: str | None = None, *, thin: bool = False
) -> Event:
    data = _data(job, job.attempt if attempt is None else attempt, at or job.created_at)
    return Event(
        f"{PREFIX[job.queue]}:progress", compact(data | {"progress": progress.model_dump(by_alias=True)}), thin
    )


def _write(
    user: str,
    job: Job,
    guard: Any,
    attempt: int,
    events: Sequence[Event],
    fields: Mapping[str, str],
    grace: float = 0,
    *,
    ends: bool = False,
    records: Mapping[str, Mapping[str, str]] | None = None,
) -> Write:
    return Write(
        user=user,
        project=job.project_id,
        job=job.id,
        owner=job.chapter_id or MANUSCRIPT,
        guard=guard,
        attempt=attempt,
        events=events,
        fields=fields,
        ends=ends,
        grace_seconds=grace,
        records=records or {},
    )
