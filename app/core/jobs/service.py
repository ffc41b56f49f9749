"""Jobs: created by requests, claimed and reported on by workers, ended exactly once. Each step is an event in the
log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Protocol

from redis.asyncio import Redis

from app.core.errors import NotFound, Refused, TooMany
from app.core.eventlog.log import LEASE, LINE, EventLog, JobWrite
from app.core.jobs import transitions
from app.core.jobs.models import Job
from app.core.jobs.progress import Progress
from app.core.jobs.transitions import PREFIX, Claim, JobRequest
from app.core.redis import keys
from app.core.redis.client import decoded, names
from app.core.settings import Settings
from app.core.telemetry import tracing
from app.core.telemetry.metrics import JOB_FAILURES, JOB_WAIT, JOBS, labelled, moment_of
from app.core.vocabulary import LANGUAGES, Language, Queue

__all__ = ["PREFIX", "Claim", "JobRequest", "Jobs"]

_OVERDUE = LEASE + LINE + files("app.core.jobs").joinpath("lua/overdue.lua").read_text()
_RENEW = files("app.core.jobs").joinpath("lua/renew.lua").read_text()
_MAX_OVERDUE = 100


class JobDispatcher(Protocol):
    """Hands jobs to the workers: `app.core.jobs.broker.WorkQueue`."""

    async def enqueue(self, queue: Queue, user: str, job: str, *, notify: bool = True) -> None:
        """Enqueue a job. The reaper finds a job that could not be enqueued.

        `notify`: wake the workers; without it a worker of that queue is about to look by itself.
        """
        ...


class Jobs:
    """The jobs of all users in one Redis. Times are those of Redis' clock."""

    def __init__(self, redis: Redis, log: EventLog, settings: Settings, dispatcher: JobDispatcher) -> None:
        self._redis = redis
        self._log = log
        self._settings = settings
        self._dispatcher = dispatcher
        self._looked = 0.0
        self._overdue = redis.register_script(_OVERDUE)
        self._renew = redis.register_script(_RENEW)

    @property
    def log(self) -> EventLog:
        """The log that their events are appended to."""
        return self._log

    async def create(self, user: str, order: JobRequest) -> tuple[Job, bool]:
        """Return a waiting job, and whether it is new. An open job for the same thing is returned instead, and so is
        one with the request's `id`, open or not.

        It is handed to the workers, or waits until another job of its user ends.
        Raises NotFound if the project is gone, TooMany (`too_many_jobs`); RedisError.
        """
        job = transitions.fresh(order)
        # The reaper's list first, then the job: a crash between the two leaves a name too many, never a job too few.
        await self._redis.zadd(keys.BUSY, {user: int(time.time() * 1000)})
        grace, trace = self._settings.requeue_seconds, tracing.traceparent()
        write = transitions.created(user, job, order.language, grace, trace)
        try:
            done = await self._log.append(write)
        except Refused as refused:
            if refused.reason == "full":
                raise TooMany(
                    "You have too many unfinished jobs; wait for some to end.", code="too_many_jobs", retry_after=30
                ) from refused
            raise NotFound("There is no such project.") from refused
        if done.existing:
            return await self.get(user, order.queue, done.existing), False
        labelled(JOBS, job.queue, "created").inc()
        for id in done.go:
            await self._dispatcher.enqueue(job.queue, user, id)
        return job.model_copy(update={"version": done.version}), True

    async def create_all(self, user: str, orders: Sequence[JobRequest]) -> list[tuple[Job, bool]]:
        """Create a job for each request, in order."""
        return [await self.create(user, order) for order in orders]

    async def get(self, user: str, queue: str, job: str) -> Job:
        """Return one job. Raises NotFound if the user has no such job in that queue."""
        found = await self.find(user, job)
        if found is None or found.queue != queue:
            raise NotFound("There is no such job.")
        return found

    async def find(self, user: str, job: str) -> Job | None:
        record = await self._redis.hgetall(keys.job(user, job))
        return Job.from_record(decoded(record)) if record else None

    async def version(self, user: str, queue: str, job: str) -> tuple[str, str]:
        """Return the version and the state of a job, without the rest. Raises NotFound as `get` does."""
        found: Any = await self._redis.hmget(keys.job(user, job), ["queue", "version", "state"])
        if None in found or found[0].decode() != queue:
            raise NotFound("There is no such job.")
        return found[1].decode(), found[2].decode()

    async def find_all(self, user: str, jobs: Sequence[str]) -> list[Job | None]:
        """Return the jobs with these ids, None for each that is gone."""
        if not jobs:
            return []
        async with self._redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hgetall(keys.job(user, job))
            records = await pipe.execute()
        return [Job.from_record(decoded(record)) if record else None for record in records]

    async def latest(self, user: str, project: str) -> dict[str, Job]:
        """Return the latest job for each thing of a project: by chapter id, `manuscript` and `book`."""
        made = await self.latest_ids(user, project)
        found = await self.find_all(user, list(made.values()))
        return {owner: job for owner, job in zip(made, found, strict=True) if job is not None}

    async def latest_ids(self, user: str, project: str) -> dict[str, str]:
        """Return the ids of the same jobs."""
        return decoded(await self._redis.hgetall(keys.project_jobs(user, project)))

    async def latest_of(self, user: str, project: str, owners: Sequence[str]) -> list[Job | None]:
        """Return the latest job for each of these things of a project; None for each without one."""
        if not owners:
            return []
        made: Any = await self._redis.hmget(keys.project_jobs(user, project), list(owners))
        found = iter(await self.find_all(user, [id.decode() for id in made if id is not None]))
        return [None if id is None else next(found) for id in made]

    async def cancel(self, user: str, queue: str, job: str) -> Job:
        """Cancel a job that has not ended; its worker is refused from then on. Idempotent. Raises NotFound."""
        current = await self.get(user, queue, job)
        try:
            await self._end(transitions.cancelled(user, current))
            labelled(JOBS, current.queue, "cancelled").inc()
        except Refused as refused:
            if refused.reason == "gone":
                raise NotFound("There is no such job.") from refused
        return await self.get(user, queue, job)

    async def claim(self, user: str, job: str, first: str) -> Claim:
        """Claim a job for this worker and report its stage `first`; the attempt is one higher than the last.

        Raises Refused: `gone`, `final`, `leased` (another worker has it, or its next attempt is not due yet), `stale`
        (another worker was quicker), `lost` (it has lost so many workers that it is failed instead).
        """
        record = decoded(await self._redis.hgetall(keys.job(user, job)))
        if not record:
            raise Refused("gone")
        claim = _claim(user, record, first)
        if claim.losses >= self._settings.max_losses:
            said = f"{claim.losses} workers in a row died while they were at it; it is not tried again by itself."
            await self._end(transitions.given_up(claim, "worker_lost", said), claim)
            _count_failure(claim, "worker_lost")
            raise Refused("lost")
        await self._log.append(transitions.claimed(claim, self._settings.lease_seconds))
        labelled(JOBS, claim.job.queue, "taken").inc()
        if claim.attempt == 1:
            labelled(JOB_WAIT, claim.job.queue).observe(max(0.0, time.time() - moment_of(claim.job.created_at)))
        return claim

    async def report(self, claim: Claim, progress: Progress, *, thin: bool, kept: bool = False) -> str:
        """Report how far the job is, and renew the lease. `thin`: within a stage. Return the event's id.

        `kept`: some of this attempt's work need not be done again; workers lost before that no longer count.

        Raises Refused: `gone`, `final`, `stale`.
        """
        write = transitions.reported(claim, progress, self._settings.lease_seconds, thin=thin, kept=kept)
        return (await self._log.append(write)).version

    async def renew(self, claim: Claim, *, parked: bool = False) -> bool:
        """Renew the lease for another `lease_seconds`; return False if the job is no longer this worker's.

        `parked`: the worker does other jobs meanwhile. Losing it then does not count against this job.
        """
        names = [keys.job(claim.user, claim.job.id), keys.open_jobs(claim.user)]
        lease = int(self._settings.lease_seconds * 1000)
        return bool(await self._renew(keys=names, args=[claim.job.id, claim.attempt, lease, int(parked)]))

    async def complete(self, claim: Claim, result: Mapping[str, Any], records: Mapping[str, Mapping[str, str]]) -> None:
        """Complete the job: stage `done`, then the terminal event with `result`; `records` change in the same step.

        Raises Refused: `gone`, `final`, `stale`.
        """
        await self._end(transitions.completed(claim, result, records), claim)
        labelled(JOBS, claim.job.queue, "completed").inc()

    async def fail(self, claim: Claim, code: str, message: str) -> None:
        """Fail the job with the reason. Raises Refused: `gone`, `final`, `stale`."""
        await self._end(transitions.failed(claim, code, message), claim)
        _count_failure(claim, code)

    async def retry(self, claim: Claim, pause: float) -> None:
        """Have the job tried again by any worker after `pause` seconds. Raises Refused: `gone`, `final`, `stale`."""
        last = await self._progress_of(claim)
        await self._log.append(transitions.put_back(claim, last, "retrying", pause, claim.failures + 1))
        labelled(JOBS, claim.job.queue, "retried").inc()

    async def release(self, claim: Claim) -> None:
        """Release the job to the next worker, at once. Raises Refused: `gone`, `final`, `stale`."""
        last = await self._progress_of(claim)
        await self._log.append(transitions.put_back(claim, last, "queued", 0, claim.failures))
        labelled(JOBS, claim.job.queue, "handed_back").inc()
        await self._dispatcher.enqueue(claim.job.queue, claim.user, claim.job.id)

    async def overdue(self) -> list[tuple[str, Job]]:
        """Return open jobs that nobody began or whose lease ended, to be enqueued again; each is put off once more."""
        users = names(await self._redis.zrange(keys.BUSY, 0, -1))
        now = time.monotonic()
        # In milliseconds; 0 if this reaper has not looked before.
        waited, self._looked = max(1, int((now - self._looked) * 1000)) if self._looked else 0, now
        found = await asyncio.gather(*(self._overdue_of(user, waited) for user in users))
        late = [(user, job) for user, jobs in zip(users, found, strict=True) for job in jobs]
        for _, job in late:
            labelled(JOBS, job.queue, "requeued").inc()
        return late

    async def _end(self, write: JobWrite, claim: Claim | None = None) -> None:
        """Write a job's end, and hand out the jobs of its user that waited for it.

        A worker whose own job (`claim`) has ended fetches the next one, so it need not notify all for one more.
        """
        done = await self._log.append(write)
        looks = claim is not None and len(done.go) == 1
        for job in done.go:
            await self._dispatcher.enqueue(write.queue, write.user, job, notify=not looks)

    async def _progress_of(self, claim: Claim) -> Progress:
        found = await self.find(claim.user, claim.job.id)
        if found is None:
            raise Refused("gone")
        return found.progress

    async def _overdue_of(self, user: str, waited: int) -> list[Job]:
        put_off = int(self._settings.requeue_seconds * 1000)
        lines = [key for queue in PREFIX for key in (keys.line(user, queue), keys.out_of_line(user, queue))]
        shares = [self._log.capacity.share(queue) for queue in PREFIX]
        script_keys = [keys.open_jobs(user), keys.user(user), *lines]
        found = await self._overdue(keys=script_keys, args=[put_off, _MAX_OVERDUE, waited, *shares])
        late = names(found)
        if not late:
            await self._forget_idle(user)
        return [job for job in await self.find_all(user, late) if job is not None]

    async def _forget_idle(self, user: str) -> None:
        since = await self._redis.zscore(keys.BUSY, user)
        # An hour of grace: a user is listed before their job is created.
        if (
            since is not None
            and since < (time.time() - 3600) * 1000
            and not await self._redis.exists(keys.open_jobs(user))
        ):
            await self._redis.zrem(keys.BUSY, user)


def _count_failure(claim: Claim, code: str) -> None:
    labelled(JOBS, claim.job.queue, "failed").inc()
    labelled(JOB_FAILURES, claim.job.queue, code).inc()


def _claim(user: str, record: Mapping[str, str], first: str) -> Claim:
    found = Job.from_record(record)
    language: Language = next((known for known in LANGUAGES if known == record.get("language")), LANGUAGES[0])
    # A job that can be claimed though a worker has it has lost that worker; if it was parked, not by its own work.
    lost = found.state == "active" and record.get("parked") != "1"
    losses = int(record.get("losses", 0)) + lost
    failures, trace = int(record.get("failures", 0)), record.get("traceparent", "")
    return Claim(user, found, language, found.attempt + 1, first, failures, losses, trace)
