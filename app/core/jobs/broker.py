"""Enqueues jobs by the names of actors, so that the web side need not import the workers."""

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
"""The actor of each queue. Dramatiq's queues have the same names."""

logger = structlog.get_logger()

_SILENT_MS = 8_000
"""Milliseconds without a heartbeat after which a worker's messages are requeued. (Dramatiq's default: a minute.)"""
_MAX_UNPACKED = 1000  # values that Dramatiq's script passes to one Redis command


def message(queue: Queue, user: str, job: str) -> dramatiq.Message[None]:
    """Make a worker's message: ids, never objects, and the id of the request for the logs."""
    return dramatiq.Message(
        queue_name=queue,
        actor_name=ACTORS[queue],
        args=(user, job),
        kwargs={},
        options={"request": structlog.contextvars.get_contextvars().get("request")},
        message_timestamp=current_millis(),
    )


class Sender(Protocol):
    """Sends messages to the broker."""

    async def send(self, queue: Queue, user: str, job: str, *, notify: bool) -> None:
        """`notify`: whether waiting workers are woken. Raises RedisError, OSError, BrokerConnectionError."""
        ...

    async def aclose(self) -> None: ...


class AsyncRedisBroker(RedisBroker):
    """Dramatiq's Redis broker with an asynchronous client. It calls Dramatiq's own script."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redis = connect(url)
        super().__init__(client=self.redis, middleware=[], namespace=keys.QUEUE_NAMESPACE)  # type: ignore[no-untyped-call] # dramatiq's is untyped

    def command(self, name: str, queue: Queue, *values: str | bytes | int, maintain: bool = False) -> tuple[Any, ...]:
        """Return the Redis command that runs `name` of Dramatiq's `dispatch.lua` with `values` on `queue`.

        `maintain`: also requeue the messages of workers without a heartbeat.
        """
        sha = self.scripts["dispatch"].sha
        lasting = (_SILENT_MS, self.dead_message_ttl)
        words = (name, current_millis(), queue, self.broker_id, *lasting, int(maintain), _MAX_UNPACKED, *values)
        return ("EVALSHA", sha, 1, self.namespace, *words)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> NoReturn:
        """Raise: Dramatiq's way would make a coroutine that nobody awaits, and drop the message without a word."""
        raise RuntimeError("This broker is asynchronous: await WorkQueue.enqueue() instead of calling actor.send().")

    async def fetched(self, queue: Queue) -> list[str]:
        """Return the ids of the messages that this broker fetched and has not acknowledged, as Redis has them."""
        found: Any = await self.redis.smembers(f"{self.namespace}:__acks__.{self.broker_id}.{queue}")
        return names(found)

    async def waiting(self, queue: str) -> int:
        """Return how many messages of a queue nobody has fetched; 0 if that is unknown."""
        try:
            return int(await self.redis.llen(f"{self.namespace}:{queue}"))
        except (RedisError, OSError):
            return 0

    async def load(self) -> None:
        """Load the script into the server, which may have lost it. Raises RedisError."""
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
            # The server was restarted: the connection was an old one, or the scripts are gone.
            await self.load()
            await ask_all(self.redis, commands)

    async def aclose(self) -> None:
        await self.redis.aclose()


class _RabbitmqSender:
    """RabbitMQ's client blocks, so each call has a thread."""

    def __init__(self, url: str) -> None:
        self._broker = rabbitmq_broker(url)

    async def send(self, queue: Queue, user: str, job: str, *, notify: bool) -> None:
        # RabbitMQ delivers messages by itself.
        await asyncio.to_thread(self._broker.enqueue, message(queue, user, job))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._broker.close)


def rabbitmq_broker(url: str) -> Broker:
    """Make Dramatiq's broker for the RabbitMQ at `url` (`amqp://`). Raises ValueError if its client is not
    installed."""
    try:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker
    except ImportError as error:
        raise ValueError("RabbitMQ needs its client: pip install 'smartvoice[rabbitmq]'") from error
    # The broker confirms each message, and a queue that was lost is declared again.
    return RabbitmqBroker(url=url, middleware=[], confirm_delivery=True)


def waiting_messages(broker: Broker, queue: str) -> int:
    """Return how many messages of a queue nobody has fetched; 0 if that is unknown. Blocks: call it in one thread."""
    if isinstance(broker, RedisBroker):
        return int(broker.do_qsize(queue))
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from pika.exceptions import AMQPError

    assert isinstance(broker, RabbitmqBroker), "there is no other"
    try:
        return int(broker.get_queue_message_counts(queue)[0])
    except (AMQPError, OSError) as error:
        logger.info("queue_length_unknown", queue=queue, error=str(error))
        # The next call makes a new one: this thread's own, which nothing keeps alive between calls.
        del broker.connection
        return 0


def is_rabbitmq(url: str) -> bool:
    """Return whether `url` names a RabbitMQ."""
    return url.partition(":")[0] in {"amqp", "amqps"}


class WorkQueue:
    """Enqueues jobs for the web side. A job that could not be enqueued is not lost: the reaper finds it."""

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
