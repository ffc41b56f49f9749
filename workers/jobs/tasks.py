"""Claims a job, runs the plain function of its queue, and ends the job with the result."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

import structlog
from redis.exceptions import RedisError
from structlog.contextvars import bind_contextvars

from app.core.errors import JobError, Problem, Refused, Unavailable
from app.core.jobs.service import Claim
from app.core.telemetry import tracing
from app.core.telemetry.metrics import JOB_SECONDS, JOBS_ACTIVE, labelled
from workers.core.report import ProgressCallback
from workers.jobs.reporter import Reporter
from workers.runtime.context import Runtime
from workers.runtime.fair_scheduler import Preempted, current_slot
from workers.runtime.lease import run_with_lease

logger = structlog.get_logger()

_MAX_PAUSE = 300.0
_REDIS_PAUSE = 1.0


class Made(NamedTuple):
    """The outcome of a job: its result, and the records that change with its end."""

    result: dict[str, Any]
    records: dict[str, dict[str, str]]


Task = Callable[[Runtime, Claim, ProgressCallback], Coroutine[Any, Any, Made]]


async def carry_out(runtime: Runtime, user: str, job: str, first: str, task: Task) -> None:
    """Claim a job, run `task` on it, and end it. `first` is the stage that the job enters by the claim.

    A job that is not, or no longer, this worker's is left alone. A job that this worker cannot go on with, because it
    shuts down or because Redis was away, is released. Raises RedisError; the reaper then finds the job.
    """
    # All log lines from here on are about this job.
    bind_contextvars(job=job)
    try:
        claim = await runtime.jobs.claim(user, job, first)
    except Refused as refused:
        logger.info("left_alone", reason=refused.reason)
        return
    bind_contextvars(queue=claim.job.queue, attempt=claim.attempt)
    with tracing.span(f"process {claim.job.queue}", "consumer", parent=claim.trace, attributes=_told(claim)):
        await _carry_out(runtime, claim, task)


def _told(claim: Claim) -> tracing.Attributes:
    """Return the attributes of an attempt's span that are known at its start."""
    return {"smartvoice.job": claim.job.id, "smartvoice.queue": claim.job.queue, "smartvoice.attempt": claim.attempt}


async def _carry_out(runtime: Runtime, claim: Claim, task: Task) -> None:
    logger.info("taken")
    try:
        queue = claim.job.queue
        with labelled(JOBS_ACTIVE, queue).track_inprogress(), labelled(JOB_SECONDS, queue).time():
            await _attempt(runtime, claim, task)
    except Refused as refused:
        _tell("left_alone", reason=refused.reason)
        await _tidy(runtime, claim)
    except Preempted:
        _tell("handed_back", reason="gave_way")
        await _release(runtime, claim)
    except asyncio.CancelledError:
        _tell("handed_back", reason="leaving")
        await _release(runtime, claim)
        raise
    except RedisError as error:
        _tell("handed_back", logging.WARNING, reason=str(error))
        await _release_in_time(runtime, claim)


def _tell(outcome: str, level: int = logging.INFO, **more: Any) -> None:
    """Record in the log and in the span how an attempt ended."""
    logger.log(level, outcome, **more)
    tracing.note({"smartvoice.outcome": outcome} | ({"error.type": more["code"]} if "code" in more else {}))


async def _attempt(runtime: Runtime, claim: Claim, task: Task) -> None:
    try:
        made = await _made(runtime, claim, task)
    except (Refused, RedisError, Preempted):
        raise
    except JobError as raised:
        error = raised
    except Unavailable as raised:
        error = JobError(raised.code, raised.detail, retryable=True, retry_after=raised.retry_after)
    except Problem as raised:
        error = JobError(raised.code, raised.detail)
    except OSError as raised:
        logger.exception("worker_io")
        error = JobError(
            "worker_io", f"A file or a connection of the worker failed: {raised.strerror or raised}", retryable=True
        )
    except Exception:
        # The outermost level of a job: whatever went wrong, the job must end, and the log must say why.
        logger.exception("job_broke")
        error = JobError("internal_error", "Something went wrong in the worker; its log says what.")
    else:
        await runtime.jobs.complete(claim, made.result, made.records)
        _tell("completed")
        return
    await _give_up(runtime, claim, error)


async def _made(runtime: Runtime, claim: Claim, task: Task) -> Made:
    settings = runtime.settings
    slot = current_slot()
    async with Reporter(runtime.jobs, claim, settings.progress_per_second, slot) as reporter:
        work = task(runtime, claim, reporter)
        return await run_with_lease(
            runtime.jobs,
            claim,
            work,
            lease=settings.lease_seconds,
            longest=settings.job_hours * 3600,
            slot=slot,
        )


async def _give_up(runtime: Runtime, claim: Claim, error: JobError) -> None:
    """Fail the job, or have it tried again if that may help."""
    settings = runtime.settings
    if not error.retryable or claim.failures >= settings.max_retries:
        _tell("failed", code=error.code)
        await runtime.jobs.fail(claim, error.code, error.message)
        return
    # With jitter, so that jobs that failed together are not tried again together.
    pause = settings.retry_seconds * 3**claim.failures * random.uniform(0.5, 1.0)
    pause = min(max(pause, error.retry_after or 0), _MAX_PAUSE)
    _tell("retrying", code=error.code, seconds=round(pause, 1), message=error.message)
    await runtime.jobs.retry(claim, pause)


async def _release(runtime: Runtime, claim: Claim) -> None:
    """Release the job to another worker at once; if Redis is away, its lease ends."""
    with suppress(Refused, RedisError, OSError):
        await runtime.jobs.release(claim)


async def _release_in_time(runtime: Runtime, claim: Claim) -> None:
    """Release the job as soon as Redis is back; by then another worker may have it."""
    while True:
        try:
            await runtime.jobs.release(claim)
            return
        except Refused:
            return
        except (RedisError, OSError):
            await asyncio.sleep(_REDIS_PAUSE)


async def _tidy(runtime: Runtime, claim: Claim) -> None:
    """Delete what this worker wrote for a project that was deleted meanwhile."""
    if await runtime.projects.standing(claim.user, claim.job.project_id) != "there":
        await runtime.deletion.remove_files(claim.user, claim.job.project_id)
