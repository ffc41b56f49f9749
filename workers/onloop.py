"""Has a worker process its messages as tasks of the event loop.

Dramatiq gives each message a thread, which for an async actor only waits until the loop has done it: handing it there
and back costs as much as a third of a small job. Here the worker's queue of messages is a door to the loop. What has
ended is acknowledged from the loop, which consumers do not block: RabbitMQ's leaves it to its own thread, and that of
`workers.doorbell` to its next look. A worker that is told to leave begins nothing more and cancels what it is at.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter, defaultdict, deque
from contextvars import Context
from queue import SimpleQueue
from typing import Any, NamedTuple

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from structlog.contextvars import bind_contextvars

logger = logging.getLogger(__name__)


class OnLoop(Middleware):
    """Stands after Dramatiq's `AsyncIO`, whose loop it is. Middleware that looks at single messages is told of none.

    `at_once`: how many messages of each queue are processed at once; `patience`: seconds for which a worker that leaves
    waits for actors to hand back what they are at.
    """

    def __init__(self, at_once: int, patience: float = 4.0) -> None:
        self._at_once = at_once
        self._patience = patience
        self._desk: _Desk | None = None

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        thread = get_event_loop_thread()
        assert thread is not None, "AsyncIO comes before OnLoop"
        self._desk = _Desk(thread.loop, worker, self._at_once)
        worker.work_queue = self._desk  # type: ignore[assignment] # as much of a queue as Dramatiq asks of it
        worker.worker_threads = 0
        worker.queue_prefetch = self._at_once

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        if self._desk is not None:
            self._desk.close(self._patience)


class _Desk:
    """Where consumers put messages, each of which becomes a task; what cannot begin any more is given back.

    All but what consumers and the worker call belongs to the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: dramatiq.Worker, at_once: int) -> None:
        self._loop = loop
        self._worker = worker
        self._at_once = at_once
        self._tasks: dict[asyncio.Task[None], dramatiq.MessageProxy] = {}
        self._busy: Counter[str] = Counter()
        # A consumer that had to begin anew does not know of what is being worked on, and fetches as much once more.
        self._waiting: defaultdict[str, deque[dramatiq.MessageProxy]] = defaultdict(deque)
        self._left: SimpleQueue[dramatiq.MessageProxy] = SimpleQueue()
        self._closed = False

    def put(self, item: Any) -> None:
        """A message, from a consumer's thread."""
        self._loop.call_soon_threadsafe(self._take, item.message)

    def get_nowait(self) -> Any:
        """A message that was not begun, as it was put. Raises Empty."""
        # What was put before is on its way through the loop.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()
        return _Item(self._left.get_nowait())

    def close(self, patience: float) -> None:
        """Begins nothing more, cancels what has begun, and waits at most `patience` seconds for its end."""
        asyncio.run_coroutine_threadsafe(self._close(patience), self._loop).result()

    async def _close(self, patience: float) -> None:
        self._closed = True
        for waiting in self._waiting.values():
            while waiting:
                self._left.put(waiting.popleft())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)

    def _take(self, message: dramatiq.MessageProxy) -> None:
        if self._closed:
            self._left.put(message)
        elif self._busy[message.queue_name] >= self._at_once:
            self._waiting[message.queue_name].append(message)
        else:
            self._begin(message)

    def _begin(self, message: dramatiq.MessageProxy) -> None:
        self._busy[message.queue_name] += 1
        # A context of its own: what one job's log lines bear is not another's.
        task = self._loop.create_task(self._process(message), context=Context())
        self._tasks[task] = message
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        message = self._tasks.pop(task)
        self._busy[message.queue_name] -= 1
        if task.cancelled():  # before its first step
            self._left.put(message)
        else:
            self._tell(message)
        if waiting := self._waiting[message.queue_name]:
            self._begin(waiting.popleft())

    async def _process(self, message: dramatiq.MessageProxy) -> None:
        """Calls the actor. What that raises is the log's, and the message goes where Dramatiq keeps such."""
        if request := message.options.get("request"):
            bind_contextvars(request=request)
        actor = self._worker.broker.get_actor(message.actor_name)
        try:
            await inspect.unwrap(actor.fn)(*message.args, **message.kwargs)
        except asyncio.CancelledError:
            pass  # the actor has handed on what it was at
        except Exception:
            logger.exception("Failed to process message %s.", message)
            message.fail()

    def _tell(self, message: dramatiq.MessageProxy) -> None:
        consumer = self._worker.consumers[message.queue_name].consumer
        assert consumer is not None, "the message came from one"
        try:
            (consumer.nack if message.failed else consumer.ack)(message)
        except BrokerConnectionError as error:
            # It is delivered again, and finds its job done.
            logger.warning("Message %s was not acknowledged: %s", message, error)


class _Item(NamedTuple):
    """What Dramatiq looks for in what it gets from a worker's queue."""

    message: dramatiq.MessageProxy
