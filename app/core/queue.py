"""Handing jobs to the workers: by the name of an actor, so that who enqueues need not know who works."""

from __future__ import annotations

import asyncio
from typing import Any

import dramatiq
import structlog
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.errors import BrokerConnectionError
from redis.exceptions import RedisError

from app.core import keys, sentinel
from app.core.messages import NARRATION, PARSING, Queue

ACTORS: dict[Queue, str] = {PARSING: "parse_manuscript", NARRATION: "narrate_chapter"}
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


def broker_of(url: str, **options: int) -> Broker:
    """Dramatiq's broker at `url`: RabbitMQ (`amqp://`), or Redis under SmartVoice's own prefix, which has `options`.

    Raises ValueError where RabbitMQ is named and its client is not installed.
    """
    if is_rabbitmq(url):
        try:
            from dramatiq.brokers.rabbitmq import RabbitmqBroker
        except ImportError as error:
            raise ValueError("RabbitMQ needs its client: pip install 'smartvoice[rabbitmq]'") from error
        # Whoever enqueues is told that the message is kept, and a queue that got lost is made anew.
        return RabbitmqBroker(url=url, middleware=[], confirm_delivery=True)
    place: dict[str, Any] = {"client": sentinel.blocking_client(url)} if sentinel.is_sentinel(url) else {"url": url}
    return RedisBroker(middleware=[], namespace=keys.QUEUE_NAMESPACE, **place, **options)  # type: ignore[no-untyped-call] # dramatiq's is untyped


def is_rabbitmq(url: str) -> bool:
    """Whether `url` names a RabbitMQ."""
    return url.partition(":")[0] in {"amqp", "amqps"}


class WorkQueue:
    """The web side's end of the queue. A job that could not be enqueued is not lost: the reaper finds it."""

    def __init__(self, url: str) -> None:
        self._broker = broker_of(url)

    async def enqueue(self, queue: Queue, user: str, job: str) -> None:
        """Hands one job to the workers. Where the broker is away it is logged, and the reaper does it later."""
        try:
            # Dramatiq's client blocks.
            await asyncio.to_thread(self._broker.enqueue, message(queue, user, job))
        except (RedisError, OSError, BrokerConnectionError) as error:
            logger.warning("enqueue_failed", queue=queue, job=job, error=str(error))

    def close(self) -> None:
        self._broker.close()
