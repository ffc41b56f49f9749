"""The reaper enqueues jobs again that nobody began, or whose worker lost its lease."""

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
    """Check every two seconds, in every worker. Redis' clock decides, and only one of two reapers enqueues a job.

    After an outage of Redis wait as long as a `lease` first, so that workers can renew theirs.
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
