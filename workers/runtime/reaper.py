"""The reaper: jobs that nobody began, or whose worker fell silent, are handed to the workers anew."""

from __future__ import annotations

import asyncio
import random

import structlog
from redis.exceptions import RedisError

from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Jobs

logger = structlog.get_logger()

_EVERY_SECONDS = 2.0


async def reap_for_ever(jobs: Jobs, queue: WorkQueue, lease: float) -> None:
    """Looks every two seconds, in every worker; Redis' clock decides, and of two reapers one enqueues.

    Where Redis was away it first waits for as long as a `lease`: those who could not renew theirs do it now.
    """
    while True:
        await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.8, 1.2))
        try:
            for user, job in await jobs.overdue():
                logger.info("requeued", job=job.id, queue=job.queue, attempt=job.attempt)
                await queue.enqueue(job.queue, user, job.id)
        except (RedisError, OSError) as error:
            logger.warning("reaper_waits", error=str(error))
            await asyncio.sleep(lease)
