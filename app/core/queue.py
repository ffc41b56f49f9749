"""Handing jobs to the workers: by the name of an actor, so that who enqueues need not know who works."""

from __future__ import annotations

import asyncio

import dramatiq
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from redis.exceptions import RedisError

from app.core import keys
from app.core.messages import ASSEMBLY, NARRATION, PARSING, Queue

ACTORS: dict[Queue, str] = {
    PARSING: "parse_manuscript",
    NARRATION: "narrate_chapter",
    ASSEMBLY: "assemble_book",
}
"""The actor of each queue. Dramatiq's queues bear the names of ours."""

logger = structlog.get_logger()


def message(queue: Queue, user: str, job: str) -> dramatiq.Message[None]:
    """What a worker is sent: ids, never objects."""
    return dramatiq.Message(
        queue_name=queue,
        actor_name=ACTORS[queue],
        args=(user, job),
        kwargs={},
        options={},
        message_timestamp=current_millis(),
    )


def redis_broker(url: str, **options: int) -> RedisBroker:
    """Dramatiq's broker in the Redis at `url`, under SmartVoice's own prefix."""
    return RedisBroker(url=url, middleware=[], namespace=keys.QUEUE_NAMESPACE, **options)  # type: ignore[no-untyped-call] # dramatiq's is untyped


class WorkQueue:
    """The web side's end of the queue. A job that could not be enqueued is not lost: the reaper finds it."""

    def __init__(self, url: str) -> None:
        self._broker = redis_broker(url)

    async def enqueue(self, queue: Queue, user: str, job: str) -> None:
        """Hands one job to the workers. Where the broker is away it is logged, and the reaper does it later."""
        try:
            # Dramatiq's client blocks.
            await asyncio.to_thread(self._broker.enqueue, message(queue, user, job))
        except RedisError as error:
            logger.warning("enqueue_failed", queue=queue, job=job, error=str(error))

    def close(self) -> None:
        self._broker.close()
