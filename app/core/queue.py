"""Handing jobs to the workers: by the name of an actor, so that who enqueues need not know who works."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import dramatiq
import structlog.contextvars
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.errors import BrokerConnectionError
from redis.exceptions import RedisError

from app.core import keys, sentinel
from app.core.messages import ASSEMBLY, NARRATION, PARSING, Queue
from app.core.pipe import PipedRedis
from app.core.redis import connect

ACTORS: dict[Queue, str] = {
    PARSING: "parse_manuscript",
    NARRATION: "narrate_chapter",
    ASSEMBLY: "assemble_book",
}
"""The actor of each queue. Dramatiq's queues bear the names of ours."""

logger = structlog.get_logger()


def message(queue: Queue, user: str, job: str) -> dramatiq.Message[None]:
    """What a worker is sent: ids, never objects; with the id of the request that asked for it, for the logs."""
    return dramatiq.Message(
        queue_name=queue,
        actor_name=ACTORS[queue],
        args=(user, job),
        kwargs={},
        options={"request": structlog.contextvars.get_contextvars().get("request")},
        message_timestamp=current_millis(),
    )


class Sender(Protocol):
    """What puts messages into the broker."""

    async def send(self, queue: Queue, user: str, job: str) -> None:
        """Raises RedisError, OSError, BrokerConnectionError."""
        ...

    async def aclose(self) -> None: ...


class _RedisSender(RedisBroker):
    """Dramatiq's broker with a client that does not block: its scripts give answers to be awaited.

    It only enqueues, so what those who fetch find out about the server beforehand does not matter to it.
    """

    def __init__(self, url: str) -> None:
        self._awaited = connect(url)
        super().__init__(  # type: ignore[no-untyped-call] # dramatiq's is untyped
            client=self._awaited, middleware=[], namespace=keys.QUEUE_NAMESPACE, maintenance_chance=0
        )

    async def send(self, queue: Queue, user: str, job: str) -> None:
        sent = message(queue, user, job)
        id = sent.message_id
        sent.options["redis_message_id"] = id
        # Nothing hangs on the bell: who does not hear it looks by itself, a little later. Over one connection both go
        # out together, in this order.
        enqueued = self.do_enqueue(queue, id, sent.encode())
        if isinstance(self._awaited, PipedRedis):
            await asyncio.gather(enqueued, self._awaited.publish(keys.BELL, queue))
        else:
            await enqueued
            await self._awaited.publish(keys.BELL, queue)

    async def aclose(self) -> None:
        await self._awaited.aclose()

    def _max_unpack_size(self) -> int:
        return 1000


class _RabbitmqSender:
    """RabbitMQ's client blocks, so it is given a thread each time."""

    def __init__(self, url: str) -> None:
        self._broker = rabbitmq_broker(url)

    async def send(self, queue: Queue, user: str, job: str) -> None:
        await asyncio.to_thread(self._broker.enqueue, message(queue, user, job))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._broker.close)


def rabbitmq_broker(url: str) -> Broker:
    """Dramatiq's broker in the RabbitMQ at `url` (`amqp://`). Raises ValueError where its client is not installed."""
    try:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker
    except ImportError as error:
        raise ValueError("RabbitMQ needs its client: pip install 'smartvoice[rabbitmq]'") from error
    # Whoever enqueues is told that the message is kept, and a queue that got lost is made anew.
    return RabbitmqBroker(url=url, middleware=[], confirm_delivery=True)


def redis_place(url: str) -> dict[str, Any]:
    """Where Dramatiq's Redis broker is to look: the options that say so."""
    return {"client": sentinel.blocking_client(url)} if sentinel.is_sentinel(url) else {"url": url}


def is_rabbitmq(url: str) -> bool:
    """Whether `url` names a RabbitMQ."""
    return url.partition(":")[0] in {"amqp", "amqps"}


class WorkQueue:
    """The web side's end of the queue. A job that could not be enqueued is not lost: the reaper finds it."""

    def __init__(self, url: str) -> None:
        self._sender: Sender = _RabbitmqSender(url) if is_rabbitmq(url) else _RedisSender(url)

    async def enqueue(self, queue: Queue, user: str, job: str) -> None:
        """Hands one job to the workers. Where the broker is away it is logged, and the reaper does it later."""
        try:
            await self._sender.send(queue, user, job)
        except (RedisError, OSError, BrokerConnectionError) as error:
            logger.warning("enqueue_failed", queue=queue, job=job, error=str(error))

    async def aclose(self) -> None:
        await self._sender.aclose()
