"""Has the broker's messages processed as tasks of the worker's event loop.

Dramatiq gives each message a thread, which for an async actor only waits until the loop has done it: handing it there
and back costs as much as a third of a small job.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from structlog.contextvars import bind_contextvars

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Desk:
    """Where messages are put, each of which becomes a task. It belongs to the loop.

    Args:
        at_once: how many messages of each queue are processed at once.
        ended: is told of each message whose actor has ended; `failed` says how.
        unbegun: is told of each that is not begun any more.
    """

    def __init__(
        self,
        broker: dramatiq.Broker,
        at_once: int,
        *,
        ended: Callable[[dramatiq.MessageProxy], None],
        unbegun: Callable[[dramatiq.MessageProxy], None],
    ) -> None:
        self._broker = broker
        self._at_once = at_once
        self._tell_ended = ended
        self._tell_unbegun = unbegun
        self._tasks: dict[asyncio.Task[None], dramatiq.MessageProxy] = {}
        self._busy: Counter[str] = Counter()
        # Who delivers may not know of what is being worked on, and deliver as much once more.
        self._waiting: defaultdict[str, deque[dramatiq.MessageProxy]] = defaultdict(deque)
        self._closed = False

    def put(self, message: dramatiq.MessageProxy) -> None:
        """Has `message` processed, now or when one of its queue has ended."""
        if self._closed:
            self._tell_unbegun(message)
        elif self._busy[message.queue_name] >= self._at_once:
            self._waiting[message.queue_name].append(message)
        else:
            self._begin(message)

    async def close(self, patience: float) -> None:
        """Begins nothing more, cancels what has begun, and waits at most `patience` seconds for its end."""
        self._closed = True
        for waiting in self._waiting.values():
            while waiting:
                self._tell_unbegun(waiting.popleft())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)

    def _begin(self, message: dramatiq.MessageProxy) -> None:
        self._busy[message.queue_name] += 1
        # A context of its own: what one job's log lines bear is not another's.
        task = asyncio.get_running_loop().create_task(self._process(message), context=Context())
        self._tasks[task] = message
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        message = self._tasks.pop(task)
        self._busy[message.queue_name] -= 1
        if task.cancelled():  # before its first step
            self._tell_unbegun(message)
        else:
            self._tell_ended(message)
        if waiting := self._waiting[message.queue_name]:
            self._begin(waiting.popleft())

    async def _process(self, message: dramatiq.MessageProxy) -> None:
        """Calls the actor. What that raises is the log's, and the message goes where Dramatiq keeps such."""
        if request := message.options.get("request"):
            bind_contextvars(request=request)
        try:
            actor = self._broker.get_actor(message.actor_name)
            await inspect.unwrap(actor.fn)(*message.args, **message.kwargs)
        except asyncio.CancelledError:
            pass  # the actor has handed on what it was at
        except Exception:
            logger.exception("Failed to process message %s.", message)
            message.fail()


def on_loop(work: Coroutine[Any, Any, T]) -> T:
    """What `work` brings on the worker's event loop, waited for in a thread of Dramatiq's."""
    loop = get_event_loop_thread()
    assert loop is not None, "Dramatiq's AsyncIO is to come first"
    return loop.run_coroutine(work)
