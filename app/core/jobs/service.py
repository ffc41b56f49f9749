"""Jobs: made by those who ask, taken and reported on by workers, ended exactly once; each step is events in the log."""

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
    """Where jobs are handed to the workers: `app.core.jobs.broker.WorkQueue`."""

    async def enqueue(self, queue: Queue, user: str, job: str, *, notify: bool = True) -> None:
        """Tells the workers of a job; what they are not told of, the reaper finds.

        `notify`: wakes them; without it a worker of that queue is about to look by itself.
        """
        ...


class Jobs:
    """The jobs of all users in one Redis. Times are Redis' own."""

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
        """Where what happens is told."""
        return self._log

    async def create(self, user: str, order: JobRequest) -> tuple[Job, bool]:
        """A waiting job, and whether it is new: while one is open for the same thing that one is returned, as is one
        that has the order's `id`, open or not.

        It is handed to the workers, or waits in line until one of its user's others ends.
        Raises NotFound where the project is gone, TooMany (`too_many_jobs`); RedisError.
        """
        job = transitions.fresh(order)
        # First the reaper's list, then the job: a crash between leaves a name too many, never a job too few.
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
        """`create` for each, in order."""
        return [await self.create(user, order) for order in orders]

    async def get(self, user: str, queue: str, job: str) -> Job:
        """One job. Raises NotFound where the user has no such job in that queue."""
        found = await self.find(user, job)
        if found is None or found.queue != queue:
            raise NotFound("There is no such job.")
        return found

    async def find(self, user: str, job: str) -> Job | None:
        record = await self._redis.hgetall(keys.job(user, job))
        return Job.from_record(decoded(record)) if record else None

    async def version(self, user: str, queue: str, job: str) -> tuple[str, str]:
        """The version and the state of a job, without the rest of it. Raises NotFound as `get` does."""
        found: Any = await self._redis.hmget(keys.job(user, job), ["queue", "version", "state"])
        if None in found or found[0].decode() != queue:
            raise NotFound("There is no such job.")
        return found[1].decode(), found[2].decode()

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
        """The latest job for each thing of a project that can be made: by chapter id, `manuscript` and `book`."""
        made = await self.latest_ids(user, project)
        found = await self.find_all(user, list(made.values()))
        return {owner: job for owner, job in zip(made, found, strict=True) if job is not None}

    async def latest_ids(self, user: str, project: str) -> dict[str, str]:
        """The ids of the same jobs."""
        return decoded(await self._redis.hgetall(keys.project_jobs(user, project)))

    async def latest_of(self, user: str, project: str, owners: Sequence[str]) -> list[Job | None]:
        """The latest job for each of these things of a project; None for each that has none."""
        if not owners:
            return []
        made: Any = await self._redis.hmget(keys.project_jobs(user, project), list(owners))
        found = iter(await self.find_all(user, [id.decode() for id in made if id is not None]))
        return [None if id is None else next(found) for id in made]

    async def cancel(self, user: str, queue: str, job: str) -> Job:
        """Ends a job that has not ended; the worker at it is refused from then on. Idempotent. Raises NotFound."""
        current = await self.get(user, queue, job)
        try:
            await self._end(transitions.cancelled(user, current))
            labelled(JOBS, current.queue, "cancelled").inc()
        except Refused as refused:
            if refused.reason == "gone":
                raise NotFound("There is no such job.") from refused
        return await self.get(user, queue, job)

    async def claim(self, user: str, job: str, first: str) -> Claim:
        """Takes a job for this worker and reports its stage `first`; the attempt is one higher than the last.

        Raises Refused: `gone`, `final`, `leased` (another worker is at it, or it is not to be tried again yet), `stale`
        (another was quicker), `lost`: it has lost so many workers that it is failed instead.
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
        """Tells how far the job is, and renews the lease. `thin`: within a stage. Returns the event's id.

        `kept`: some of what this attempt did need not be done again; workers lost before that do not count any more.

        Raises Refused: `gone`, `final`, `stale`.
        """
        write = transitions.reported(claim, progress, self._settings.lease_seconds, thin=thin, kept=kept)
        return (await self._log.append(write)).version

    async def renew(self, claim: Claim, *, parked: bool = False) -> bool:
        """Keeps the job for its worker for another `lease_seconds`; False where it is no longer that worker's.

        `parked`: the worker works at others meanwhile. Losing it then does not count against this job.
        """
        names = [keys.job(claim.user, claim.job.id), keys.open_jobs(claim.user)]
        lease = int(self._settings.lease_seconds * 1000)
        return bool(await self._renew(keys=names, args=[claim.job.id, claim.attempt, lease, int(parked)]))

    async def complete(self, claim: Claim, result: Mapping[str, Any], records: Mapping[str, Mapping[str, str]]) -> None:
        """Ends the job well: stage `done`, then the terminal event with `result`; `records` change in the same step.

        Raises Refused: `gone`, `final`, `stale`.
        """
        await self._end(transitions.completed(claim, result, records), claim)
        labelled(JOBS, claim.job.queue, "completed").inc()

    async def fail(self, claim: Claim, code: str, message: str) -> None:
        """Ends the job with the reason why it cannot be done. Raises Refused: `gone`, `final`, `stale`."""
        await self._end(transitions.failed(claim, code, message), claim)
        _count_failure(claim, code)

    async def retry(self, claim: Claim, pause: float) -> None:
        """Has the job tried again after `pause` seconds, by any worker. Raises Refused: `gone`, `final`, `stale`."""
        last = await self._progress_of(claim)
        await self._log.append(transitions.put_back(claim, last, "retrying", pause, claim.failures + 1))
        labelled(JOBS, claim.job.queue, "retried").inc()

    async def release(self, claim: Claim) -> None:
        """Leaves the job to the next worker, at once. Raises Refused: `gone`, `final`, `stale`."""
        last = await self._progress_of(claim)
        await self._log.append(transitions.put_back(claim, last, "queued", 0, claim.failures))
        labelled(JOBS, claim.job.queue, "handed_back").inc()
        await self._dispatcher.enqueue(claim.job.queue, claim.user, claim.job.id)

    async def overdue(self) -> list[tuple[str, Job]]:
        """Open jobs that nobody began or whose worker fell silent, each put off once more, to be enqueued anew."""
        users = names(await self._redis.zrange(keys.BUSY, 0, -1))
        now = time.monotonic()
        # In milliseconds; 0 says that this reaper has not looked before.
        waited, self._looked = max(1, int((now - self._looked) * 1000)) if self._looked else 0, now
        found = await asyncio.gather(*(self._overdue_of(user, waited) for user in users))
        late = [(user, job) for user, jobs in zip(users, found, strict=True) for job in jobs]
        for _, job in late:
            labelled(JOBS, job.queue, "requeued").inc()
        return late

    async def _end(self, write: JobWrite, claim: Claim | None = None) -> None:
        """Writes a job's end, and dispatcher out those of its user that wait in line for it.

        A worker whose own job (`claim`) has ended looks for the next, so it need not wake all for one more.
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
        # An hour's grace: a user is listed before their job is made.
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
    # A job that can be taken although a worker has it has lost that worker; not by its own work where it was parked.
    lost = found.state == "active" and record.get("parked") != "1"
    losses = int(record.get("losses", 0)) + lost
    failures, trace = int(record.get("failures", 0)), record.get("traceparent", "")
    return Claim(user, found, language, found.attempt + 1, first, failures, losses, trace)
