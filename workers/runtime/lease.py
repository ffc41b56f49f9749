"""Runs a job's work while the job is this worker's: renews the lease, and ends the work when the job is taken away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from redis.exceptions import RedisError

from app.core.aio import cancel_and_wait
from app.core.errors import JobError, Refused
from app.core.jobs.service import Claim, Jobs
from workers.runtime.fair_scheduler import JobSlot

logger = structlog.get_logger()

T = TypeVar("T")

_LOOK_SECONDS = 1.0


async def run_with_lease(
    jobs: Jobs,
    claim: Claim,
    work: Coroutine[Any, Any, T],
    *,
    lease: float,
    longest: float,
    slot: JobSlot | None = None,
) -> T:
    """Run `work` and return its result. It is cancelled within a second or two of the job being cancelled.

    Raises Refused (`stale`) if the job is no longer this claim's, JobError (`took_too_long`) after `longest`
    seconds, those not counted for which its `slot` was parked, and what `work` raises.
    """
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    pause = min(_LOOK_SECONDS, lease / 3)

    def wake(_: object = None) -> None:
        if not over.done():
            over.set_result(None)

    def started(doing: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = loop.create_task(doing)
        task.add_done_callback(wake)
        return task

    began = loop.time()

    def look() -> None:
        if (left := began + longest + (slot.parked_seconds if slot else 0.0) - loop.time()) > 0:
            timers[1] = loop.call_later(left, look)
        else:
            wake()

    tasks = [started(work)]
    # Most jobs end before the first renewal of their lease.
    timers = [
        loop.call_later(pause, lambda: tasks.append(started(_keep(jobs, claim, pause, slot)))),
        loop.call_later(longest, look),
    ]
    try:
        await over
        working, *keeping = tasks
        if working.done():
            found: T = working.result()
            return found
        if any(task.done() for task in keeping):
            raise Refused("stale")
        raise JobError("took_too_long", f"The job was not done within {longest / 3600:g} hours.")
    finally:
        for timer in timers:
            timer.cancel()
        await cancel_and_wait(*tasks)


async def _keep(jobs: Jobs, claim: Claim, pause: float, slot: JobSlot | None) -> None:
    """Renew the lease until it can no longer be renewed."""
    kept = True
    while kept:
        try:
            kept = await jobs.renew(claim, parked=slot is not None and not slot.is_going)
        except (RedisError, OSError) as error:
            logger.warning("lease_not_renewed", job=claim.job.id, error=str(error))
        await asyncio.sleep(pause)
