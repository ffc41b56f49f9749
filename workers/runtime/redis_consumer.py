"""Fetches messages from Redis on the worker's event loop, when it is notified and when a message has ended.

Dramatiq's own consumer sleeps when it finds nothing, longer each time: a job on an idle system starts after 0.2 to 1 s.
Here the sender also publishes the queue's name, and the worker subscribes to that. Nothing depends on it: without
notifications a worker polls at its own pace, and a notification without a message costs one fetch. After each loss of
the connection it polls every queue.

Messages are fetched and acknowledged by Dramatiq's own script, so its records of unacknowledged messages hold.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence

import dramatiq
import structlog
from dramatiq import Message, MessageProxy
from dramatiq.errors import DecodeError
from dramatiq.middleware import Middleware
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from app.core.aio import cancel_and_wait
from app.core.jobs.broker import ACTORS, AsyncRedisBroker
from app.core.redis import keys
from app.core.redis.multiplexed import ask_all
from app.core.redis.pubsub import Listener, Subscriptions
from app.core.vocabulary import Queue
from workers.runtime.executor import Executor, MessageCallbacks, on_loop

logger = structlog.get_logger()

_FIRST_PAUSE = 0.1
_MAX_PAUSE = 3.0
"""Each fetch is also the heartbeat that other workers watch (see `app.core.jobs.broker`)."""
_UNSUBSCRIBED_PAUSE = 0.25
_MAINTENANCE_SECONDS = 1.0
_LEAVING_SECONDS = 1.0
_SILENT_SECONDS = 15.0
_AGAIN_SECONDS = (0.1, 0.5)


class RedisConsumerMiddleware(Middleware):
    """Dramatiq middleware, to be placed after `AsyncIO`, whose loop it uses. Message hooks of other middleware are not
    called.

    `at_once`: how many messages of each queue are processed at once; `patience`: seconds for which a worker that leaves
    waits for actors to release their jobs.
    """

    def __init__(self, broker: AsyncRedisBroker, at_once: int, patience: float = 4.0) -> None:
        # Every loss of the connection must be noticed: messages may have been on their way.
        broker.redis.set_retry(Retry(NoBackoff(), 0))
        self._broker = broker
        self._patience = patience
        callbacks = MessageCallbacks(
            self._on_ended, self._on_not_started, self._on_not_started, self._invite, broker.waiting
        )
        self._executor = Executor(broker, at_once, callbacks)
        self._notifier = QueueNotifier(broker.url)
        self._consumers = {
            queue: QueueConsumer(broker, queue, at_once, self._notifier, self._executor.put) for queue in ACTORS
        }
        self._tasks: list[asyncio.Task[None]] = []

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        # None of Dramatiq's own threads.
        worker.consumer_whitelist = {""}
        worker.worker_threads = 0

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        on_loop(self._open())

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        on_loop(self._close())

    def fault(self) -> str:
        """Return why no jobs are taken, in words; empty if they are, or would be if there were room."""
        silent = [consumer.queue for consumer in self._consumers.values() if consumer.silent_seconds > _SILENT_SECONDS]
        return f"it asks for no jobs of {', '.join(silent)}" if self._tasks and silent else ""

    async def _open(self) -> None:
        self._notifier.open()
        self._executor.open()
        self._tasks = [asyncio.create_task(consumer.run()) for consumer in self._consumers.values()]

    async def _close(self) -> None:
        leaving, self._tasks = self._tasks, []
        await cancel_and_wait(*leaving)
        await self._executor.close(self._patience)
        closing = [asyncio.create_task(consumer.close()) for consumer in self._consumers.values()]
        await asyncio.wait(closing, timeout=_LEAVING_SECONDS)
        await cancel_and_wait(*closing)
        await self._notifier.aclose()
        await self._broker.aclose()

    def _on_ended(self, message: dramatiq.MessageProxy) -> None:
        self._consumers[_queue_of(message)].tell("nack" if message.failed else "ack", message)

    def _on_not_started(self, message: dramatiq.MessageProxy) -> None:
        self._consumers[_queue_of(message)].tell("requeue", message)

    def _invite(self, queue: str, begun: Sequence[dramatiq.MessageProxy]) -> None:
        next(consumer for name, consumer in self._consumers.items() if name == queue).invite()


class QueueConsumer:
    """Fetches the messages of one queue, and acknowledges those that have ended in the same write."""

    def __init__(
        self,
        broker: AsyncRedisBroker,
        queue: Queue,
        at_once: int,
        notifier: QueueNotifier,
        put: Callable[[dramatiq.MessageProxy], None],
    ) -> None:
        self._broker = broker
        self.queue = queue
        self._asked = time.monotonic()
        self._at_once = at_once
        self._notifier = notifier
        self._put = put
        self._held: set[str] = set()
        self._outcomes: deque[tuple[str, str]] = deque()
        # Whether messages may have been fetched that did not arrive.
        self._needs_reconcile = False
        self._notified = self._extra_wanted = False
        self._waiter: asyncio.Future[None] | None = None
        self._pause = _FIRST_PAUSE
        self._maintained = 0.0
        notifier.on_enqueue(queue, self.notify)

    @property
    def silent_seconds(self) -> float:
        """How long ago the broker last answered. It is asked every three seconds, even without room."""
        return time.monotonic() - self._asked

    def notify(self) -> None:
        """Have it fetch now."""
        self._notified = True
        if self._waiter is not None:
            _wake(self._waiter)

    def tell(self, how: str, message: dramatiq.MessageProxy) -> None:
        """Note that a message has ended (`ack`, `nack`) or is given back (`requeue`), and make room for another."""
        id = message.options["redis_message_id"]
        self._held.discard(id)
        self._outcomes.append((how, id))
        self.notify()

    def invite(self) -> None:
        """Have it fetch one more than may be in flight."""
        self._extra_wanted = True
        self.notify()

    async def run(self) -> None:
        """Fetch messages until cancelled."""
        lost = False
        while True:
            try:
                try:
                    await self._look()
                except NoScriptError:
                    await self._broker.load()
                lost = False
            except (RedisError, OSError) as error:
                if not lost:
                    logger.warning("queue_lost", queue=self.queue, error=str(error))
                lost = True
                await asyncio.sleep(random.uniform(*_AGAIN_SECONDS))
            except Exception:
                # Nobody would notice a worker that goes on but no longer fetches from a queue.
                logger.exception("consumer_failed", queue=self.queue)
                await asyncio.sleep(random.uniform(*_AGAIN_SECONDS))

    async def close(self) -> None:
        """Acknowledge what has ended, and requeue what nobody took. If Redis is away, other workers requeue it when the
        heartbeat is missing."""
        self._needs_reconcile = True
        try:
            # Notify others of silently enqueued messages: this worker would have fetched them.
            await self._exchange(0, notify=True)
        except (RedisError, OSError) as error:
            logger.warning("queue_lost", queue=self.queue, error=str(error))

    async def _look(self) -> None:
        """Fetch once, then wait for a notification or a pause."""
        notified, self._notified = self._notified, False
        extra_wanted, self._extra_wanted = self._extra_wanted, False
        room = max(self._at_once - len(self._held), int(extra_wanted))
        # A notification may be for others; a fetch that is due is the heartbeat.
        found = await self._exchange(room) if room or self._outcomes or not notified else []
        if found:
            self._pause = _FIRST_PAUSE
        for data in found:
            self._take(data)
        await self._rest()

    async def _exchange(self, room: int, *, notify: bool = False) -> list[bytes]:
        """Acknowledge what has ended, and fetch at most `room` messages. Raises RedisError, OSError.

        `notify`: wake other workers, as a message that is requeued does.
        """
        if self._needs_reconcile:
            await self._requeue_unacknowledged()
        now = asyncio.get_running_loop().time()
        maintain = now > self._maintained + _MAINTENANCE_SECONDS
        telling = list(self._outcomes)
        commands = [self._broker.command(how, self.queue, id) for how, id in telling]
        if notify or any(how == "requeue" for how, _ in telling):
            commands.append(("PUBLISH", keys.ENQUEUED, self.queue))
        commands.append(self._broker.command("fetch", self.queue, room, maintain=maintain))
        self._outcomes.clear()
        try:
            *_, fetched = await ask_all(self._broker.redis, commands)
        except BaseException:
            self._needs_reconcile = True
            self._outcomes.extendleft(reversed(telling))
            raise
        self._asked = time.monotonic()
        if maintain:
            self._maintained = now
        return fetched  # type: ignore[no-any-return] # as the script has it

    async def _requeue_unacknowledged(self) -> None:
        """Requeue what was fetched for this worker and did not arrive. Raises RedisError, OSError."""
        known = self._held | {id for _, id in self._outcomes}
        fetched = await self._broker.fetched(self.queue)
        self._outcomes.extend(("requeue", id) for id in fetched if id not in known)
        self._needs_reconcile = False

    def _take(self, data: bytes | None) -> None:
        if data is None:
            return  # it was acknowledged by its former worker while it was fetched
        try:
            message = Message.decode(data)
            id = message.options["redis_message_id"]
        except (DecodeError, TypeError, KeyError):
            logger.exception("message_unreadable", queue=self.queue)
            return
        self._held.add(id)
        self._put(MessageProxy(message))

    async def _rest(self) -> None:
        """Wait for a notification, or for a pause that grows each time."""
        if self._notified:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(
            self._pause if self._notifier.is_subscribed else _UNSUBSCRIBED_PAUSE, _wake, self._waiter
        )
        self._pause = min(2 * self._pause, _MAX_PAUSE)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None


class QueueNotifier(Listener):
    """Calls back when somebody enqueues."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._callbacks: dict[bytes, Callable[[], None]] = {}
        self._subscriptions: Subscriptions | None = None

    @property
    def is_subscribed(self) -> bool:
        return self._subscriptions is not None and self._subscriptions.is_connected(keys.ENQUEUED)

    def on_enqueue(self, queue: Queue, callback: Callable[[], None]) -> None:
        """Call `callback` when `queue` gets a message, and when a notification may have been missed."""
        self._callbacks[queue.encode()] = callback

    def open(self) -> None:
        """Subscribe, over connections that reconnect for ever."""
        self._subscriptions = Subscriptions(self._url, self)
        self._subscriptions.subscribe(keys.ENQUEUED)

    async def aclose(self) -> None:
        if self._subscriptions is not None:
            await self._subscriptions.stop()

    def on_message(self, channel: bytes, message: bytes) -> None:
        """Call what waits for the queue that the message names."""
        if callback := self._callbacks.get(message):
            callback()

    def on_subscribed(self, channel: bytes) -> None:
        """Call all: a notification from before may have been missed."""
        for callback in self._callbacks.values():
            callback()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _queue_of(message: dramatiq.MessageProxy) -> Queue:
    return next(queue for queue in ACTORS if queue == message.queue_name)
