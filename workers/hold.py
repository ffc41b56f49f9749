"""Doing a job's work for as long as the job is ours: its lease is renewed, and whoever takes the job ends the work."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog
from redis.exceptions import RedisError

from app.core.errors import JobError, Refused
from app.core.jobs import Claim, Jobs
from app.core.tasks import end

logger = structlog.get_logger()

T = TypeVar("T")

_LOOK_SECONDS = 1.0


async def while_ours(jobs: Jobs, claim: Claim, work: Coroutine[Any, Any, T], *, lease: float, longest: float) -> T:
    """What `work` returns. It is ended, wherever it waits, within a second or two of the job being cancelled.

    Raises Refused (`stale`) where the job is no longer this claim's, JobError (`took_too_long`) after `longest`
    seconds, and what `work` raises.
    """
    working = asyncio.create_task(work)
    keeping = asyncio.create_task(_keep(jobs, claim, min(_LOOK_SECONDS, lease / 3)))
    try:
        await asyncio.wait({working, keeping}, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if keeping.done():
            raise Refused("stale")
        raise JobError("took_too_long", f"The job was not done within {longest / 3600:g} hours.")
    finally:
        await end(working, keeping)


async def _keep(jobs: Jobs, claim: Claim, pause: float) -> None:
    """Renews the lease again and again; returns when there is no longer one to renew."""
    kept = True
    while kept:
        await asyncio.sleep(pause)
        try:
            kept = await jobs.renew(claim)
        except (RedisError, OSError) as error:
            logger.warning("lease_not_renewed", job=claim.job.id, error=str(error))
