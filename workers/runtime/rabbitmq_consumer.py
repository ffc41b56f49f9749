"""For RabbitMQ: passes what Dramatiq's consumer threads deliver to the worker's event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

import dramatiq
from dramatiq import Message
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from redis.exceptions import RedisError

from app.core.jobs.broker import waiting_messages
from workers.runtime.executor import Executor, MessageCallbacks, on_loop

logger = logging.getLogger(__name__)


class RabbitmqConsumerMiddleware(Middleware):
    """Dramatiq middleware, to be placed after `AsyncIO`, whose loop it uses. Message hooks of other middleware are not
    called.

    `at_once`: how many messages of each queue are processed at once; `patience`: seconds for which a worker that leaves
    waits for actors to release their jobs.
    """

    def __init__(self, at_once: int, patience: float = 4.0) -> None:
        self._at_once = at_once
        self._patience = patience
        self._door: _WorkQueueAdapter | None = None

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        thread = get_event_loop_thread()
        assert thread is not None, "AsyncIO comes first"
        self._door = _WorkQueueAdapter(thread.loop, worker, self._at_once)
        worker.work_queue = self._door  # type: ignore[assignment] # as much of a queue as Dramatiq asks of it
        worker.worker_threads = 0
        worker.queue_prefetch = self._at_once
        thread.loop.call_soon_threadsafe(self._door.desk.open)

    def fault(self) -> str:
        """Return nothing: Dramatiq's consumers reconnect by themselves."""
        return ""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        if self._door is not None:
            on_loop(self._door.desk.close(self._patience))
            self._door.close()


class _WorkQueueAdapter:
    """Takes the place of a worker's queue of messages: passes what consumers put there to the executor, and returns
    what that does not start."""

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: dramatiq.Worker, at_once: int) -> None:
        self._loop = loop
        self._worker = worker
        self._left: SimpleQueue[dramatiq.MessageProxy] = SimpleQueue()
        told = MessageCallbacks(self._tell, self._left.put, self._return, self._invite, self._count)
        self.desk = Executor(worker.broker, at_once, told)
        # Its own thread: the client blocks, and has a connection for each thread.
        self._asking = ThreadPoolExecutor(1, "queue-length")
        self._acknowledged: set[str] = set()

    def put(self, item: Any) -> None:
        """Put a message, from a consumer's thread."""
        self._loop.call_soon_threadsafe(self.desk.put, item.message)

    def get_nowait(self) -> Any:
        """Return a message that was not started. Raises Empty."""
        # Messages that were put before may still be on their way through the loop.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()
        return _Item(self._left.get_nowait())

    def close(self) -> None:
        self._asking.shutdown(wait=False, cancel_futures=True)

    def _invite(self, queue: str, begun: Sequence[dramatiq.MessageProxy]) -> None:
        """Acknowledge a message early, so that the broker delivers one more. If this worker dies, the reaper finds the
        job by its lease."""
        early = next((message for message in begun if message.message_id not in self._acknowledged), None)
        if early is not None:
            self._tell(early)
            self._acknowledged.add(early.message_id)

    def _return(self, message: dramatiq.MessageProxy) -> None:
        """Put the message behind all others, by sending it again: there is no other way."""
        again = Message.decode(message.encode())

        def send() -> None:
            try:
                self._worker.broker.enqueue(again)
            except (BrokerConnectionError, RedisError) as error:
                # The reaper finds the job.
                logger.warning("Message %s was not put back: %s", message, error)
            self._loop.call_soon_threadsafe(self._tell, message)

        self._asking.submit(send)

    async def _count(self, queue: str) -> int:
        return await self._loop.run_in_executor(self._asking, waiting_messages, self._worker.broker, queue)

    def _tell(self, message: dramatiq.MessageProxy) -> None:
        """Acknowledge a message. RabbitMQ's consumer leaves this to its own thread, so the loop is not blocked."""
        if message.message_id in self._acknowledged:
            self._acknowledged.discard(message.message_id)
            return
        consumer = self._worker.consumers[message.queue_name].consumer
        assert consumer is not None, "the message came from one"
        try:
            (consumer.nack if message.failed else consumer.ack)(message)
        except BrokerConnectionError as error:
            # It is delivered again, and its job is found done.
            logger.warning("Message %s was not acknowledged: %s", message, error)


class _Item(NamedTuple):
    """What Dramatiq expects in a worker's queue."""

    message: dramatiq.MessageProxy
