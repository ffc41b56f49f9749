"""Processes the broker's messages as tasks of the worker's event loop.

Dramatiq gives each message a thread, which only waits for the loop if the actor is asynchronous: passing it there and
back costs a third of a small job.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, NamedTuple, TypeVar

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from structlog.contextvars import bind_contextvars

from app.core.aio import cancel_and_wait
from app.core.vocabulary import NARRATION
from workers.runtime.fair_scheduler import Scheduler, set_slot

logger = logging.getLogger(__name__)

T = TypeVar("T")

_LOOK_SECONDS = 0.25
_LOOKS = 2  # checks that see waiting messages, so that a worker with a free place may take them first
_GUESTS: dict[str, int] = {NARRATION: 8}
"""Jobs of a queue that a worker holds beside those that run; a waiting narration takes some megabytes."""
_GUESTS_OTHERWISE = 2


class MessageCallbacks(NamedTuple):
    """What is called about messages.

    Args:
        ended: called with each whose actor has ended; `failed` says how.
        unbegun: called with each that is not started, because the worker shuts down.
        returned: called with each that another worker may do sooner.
        invite: called if one more message of a queue is wanted, for which there is no place; with those in flight.
        waiting: returns how many messages of a queue nobody has fetched.
    """

    on_ended: Callable[[dramatiq.MessageProxy], None]
    on_not_started: Callable[[dramatiq.MessageProxy], None]
    returned: Callable[[dramatiq.MessageProxy], None]
    invite: Callable[[str, Sequence[dramatiq.MessageProxy]], None]
    waiting: Callable[[str], Awaitable[int]]


class Executor:
    """Makes a task of each message. It belongs to the loop.

    `max_in_flight`: how many messages of each queue at once; `fair_scheduler` has the exception.
    """

    def __init__(self, broker: dramatiq.Broker, at_once: int, told: MessageCallbacks) -> None:
        self._broker = broker
        self._max_in_flight = at_once
        self._told = told
        self._tasks: dict[asyncio.Task[None], dramatiq.MessageProxy] = {}
        self._begun: list[dramatiq.MessageProxy] = []
        self._busy: Counter[str] = Counter()
        self._schedulers: dict[str, Scheduler] = {}
        # A consumer may not know what is in flight, and deliver as much again.
        self._waiting: defaultdict[str, deque[dramatiq.MessageProxy]] = defaultdict(deque)
        self._seen: Counter[str] = Counter()
        self._inviting: asyncio.Task[None] | None = None
        self._closed = False

    def open(self) -> None:
        """Start to take messages that wait for long beside those that have a place."""
        self._inviting = asyncio.get_running_loop().create_task(self._invite_for_ever())

    def put(self, message: dramatiq.MessageProxy) -> None:
        """Process `message` now, or when another one of its queue has ended."""
        if self._closed:
            self._told.on_not_started(message)
        elif self._is_full(message.queue_name):
            self._waiting[message.queue_name].append(message)
        else:
            self._begin(message)

    async def close(self, patience: float) -> None:
        """Start nothing more, cancel what runs, and wait at most `patience` seconds for its end."""
        self._closed = True
        if self._inviting is not None:
            await cancel_and_wait(self._inviting)
        for waiting in self._waiting.values():
            while waiting:
                self._told.on_not_started(waiting.popleft())
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)

    def _scheduler(self, queue: str) -> Scheduler:
        if queue not in self._schedulers:
            self._schedulers[queue] = Scheduler(self._max_in_flight, _GUESTS.get(queue, _GUESTS_OTHERWISE))
        return self._schedulers[queue]

    def _is_full(self, queue: str) -> bool:
        scheduler = self._scheduler(queue)
        return self._busy[queue] >= scheduler.places + scheduler.guests

    def _begin(self, message: dramatiq.MessageProxy) -> None:
        self._busy[message.queue_name] += 1
        # A context of its own, so that jobs do not share log fields.
        task = asyncio.get_running_loop().create_task(self._process(message), context=Context())
        self._tasks[task] = message
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        message = self._tasks.pop(task)
        self._busy[message.queue_name] -= 1
        if task.cancelled():  # before its actor was called
            self._told.on_not_started(message)
        elif isinstance(task.exception(), _NoPlace):
            self._told.returned(message)
        else:
            self._told.on_ended(message)
        waiting = self._waiting[message.queue_name]
        if waiting and not self._closed:
            self._begin(waiting.popleft())

    async def _process(self, message: dramatiq.MessageProxy) -> None:
        """Call the actor once there is a place. What it raises is logged, and the message becomes a dead letter. Raises
        _NoPlace."""
        scheduler = self._scheduler(message.queue_name)
        slot = await scheduler.acquire(str(message.args[0]) if message.args else "")
        if slot is None:
            raise _NoPlace
        set_slot(slot)
        self._begun.append(message)
        if request := message.options.get("request"):
            bind_contextvars(request=request)
        try:
            actor = self._broker.get_actor(message.actor_name)
            await inspect.unwrap(actor.fn)(*message.args, **message.kwargs)
        except asyncio.CancelledError:
            pass  # the actor has released its job
        except Exception:
            logger.exception("Failed to process message %s.", message)
            message.fail()
        finally:
            self._begun.remove(message)
            scheduler.release(slot)

    async def _invite_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for queue, scheduler in self._schedulers.items():
                if not scheduler.is_busy or not await self._told.waiting(queue):
                    self._seen[queue] = 0
                    continue
                self._seen[queue] += 1
                if self._seen[queue] < _LOOKS or (self._is_full(queue) and not scheduler.hand_one_back()):
                    continue
                self._told.invite(queue, [message for message in self._begun if message.queue_name == queue])


class _NoPlace(Exception):
    """The worker will have no place for this user soon."""


def on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the worker's event loop and wait for it, in a thread of Dramatiq's."""
    loop = get_event_loop_thread()
    assert loop is not None, "Dramatiq's AsyncIO is to come first"
    return loop.run_coroutine(work)
