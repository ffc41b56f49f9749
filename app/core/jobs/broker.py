"""Handing jobs to the workers: by the name of an actor, so that who enqueues need not know who works."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn, Protocol

import dramatiq
import structlog.contextvars
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.errors import BrokerConnectionError
from redis.exceptions import ConnectionError, NoScriptError, RedisError

from app.core.redis import keys
from app.core.redis.client import connect, names
from app.core.redis.multiplexed import ask_all
from app.core.vocabulary import ASSEMBLY, NARRATION, PARSING, Queue

ACTORS: dict[Queue, str] = {
    PARSING: "parse_manuscript",
    NARRATION: "narrate_chapter",
    ASSEMBLY: "assemble_book",
}
"""The actor of each queue. Dramatiq's queues bear the names of ours."""

logger = structlog.get_logger()

_SILENT_MS = 8_000
"""Time without a sign of life after which a worker's messages are others'. (As Dramatiq comes, a minute.)"""
_MAX_UNPACKED = 1000  # values that Dramatiq's script hands over at once


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

    async def send(self, queue: Queue, user: str, job: str, *, notify: bool) -> None:
        """`notify`: whether waiting workers are woken. Raises RedisError, OSError, BrokerConnectionError."""
        ...

    async def aclose(self) -> None: ...


class AsyncRedisBroker(RedisBroker):
    """Dramatiq's broker with a client that does not block. It is asked in the words of Dramatiq's own script."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = connect(url)
        super().__init__(client=self.redis, middleware=[], namespace=keys.QUEUE_NAMESPACE)  # type: ignore[no-untyped-call] # dramatiq's is untyped

    def command(self, name: str, queue: Queue, *values: str | bytes | int, maintain: bool = False) -> tuple[Any, ...]:
        """The command to Redis that does `name` (see Dramatiq's `dispatch.lua`) with `values` in `queue`.

        `maintain`: what workers that fell silent had of the queue is put back into it as well.
        """
        sha = self.scripts["dispatch"].sha
        lasting = (_SILENT_MS, self.dead_message_ttl)
        words = (name, current_millis(), queue, self.broker_id, *lasting, int(maintain), _MAX_UNPACKED, *values)
        return ("EVALSHA", sha, 1, self.namespace, *words)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> NoReturn:
        """Raise: Dramatiq's way would make a coroutine that nobody awaits, and drop the message without a word."""
        raise RuntimeError("This broker is asynchronous: await WorkQueue.enqueue() instead of calling actor.send().")

    async def fetched(self, queue: Queue) -> list[str]:
        """The ids of the messages that this broker fetched and has not told the end of, as Redis has them."""
        found: Any = await self.redis.smembers(f"{self.namespace}:__acks__.{self.broker_id}.{queue}")
        return names(found)

    async def waiting(self, queue: str) -> int:
        """How many messages of a queue nobody has fetched; 0 where that cannot be told."""
        try:
            return int(await self.redis.llen(f"{self.namespace}:{queue}"))
        except (RedisError, OSError):
            return 0

    async def load(self) -> None:
        """Gives the server the script, which it may have lost. Raises RedisError."""
        await self.redis.script_load(self.scripts["dispatch"].script)

    async def send(self, queue: Queue, user: str, job: str, *, notify: bool) -> None:
        sent = message(queue, user, job)
        id = sent.message_id
        sent.options["redis_message_id"] = id
        # A worker that misses the notification finds the message a little later. Both are sent together, in this order.
        notification = [("PUBLISH", keys.ENQUEUED, queue)] if notify else []
        commands = [self.command("enqueue", queue, id, sent.encode()), *notification]
        try:
            await ask_all(self.redis, commands)
        except (NoScriptError, ConnectionError):
            # A server that has begun anew: over a connection that was left from before, or without its scripts.
            await self.load()
            await ask_all(self.redis, commands)

    async def aclose(self) -> None:
        await self.redis.aclose()


class _RabbitmqSender:
    """RabbitMQ's client blocks, so it is given a thread each time."""

    def __init__(self, url: str) -> None:
        self._broker = rabbitmq_broker(url)

    async def send(self, queue: Queue, user: str, job: str, *, notify: bool) -> None:
        # RabbitMQ brings messages by itself.
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


def waiting_messages(broker: Broker, queue: str) -> int:
    """How many messages of a queue nobody has fetched; 0 where that cannot be told. Blocks: call it in one thread."""
    if isinstance(broker, RedisBroker):
        return int(broker.do_qsize(queue))
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from pika.exceptions import AMQPError

    assert isinstance(broker, RabbitmqBroker), "there is no other"
    try:
        return int(broker.get_queue_message_counts(queue)[0])
    except (AMQPError, OSError) as error:
        logger.info("queue_length_unknown", queue=queue, error=str(error))
        # The next look makes a new one: this thread's own, which nothing keeps alive between looks.
        del broker.connection
        return 0


def is_rabbitmq(url: str) -> bool:
    """Whether `url` names a RabbitMQ."""
    return url.partition(":")[0] in {"amqp", "amqps"}


class WorkQueue:
    """The web side's end of the queue. A job that could not be enqueued is not lost: the reaper finds it."""

    def __init__(self, url: str) -> None:
        self._sender: Sender = _RabbitmqSender(url) if is_rabbitmq(url) else AsyncRedisBroker(url)

    async def enqueue(self, queue: Queue, user: str, job: str, *, notify: bool = True) -> None:
        """Hand one job to the workers (see `JobDispatcher`). Without a broker this is logged, and the reaper does it
        later."""
        try:
            await self._sender.send(queue, user, job, notify=notify)
        except (RedisError, OSError, BrokerConnectionError) as error:
            logger.warning("enqueue_failed", queue=queue, job=job, error=str(error))

    async def aclose(self) -> None:
        await self._sender.aclose()
