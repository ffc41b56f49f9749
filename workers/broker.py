"""The worker's entry, which Dramatiq calls (see `app.cli.work`). The broker is set before the actors load."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from queue import Empty, PriorityQueue
from types import FrameType
from typing import Any, TypeVar

import dramatiq
import uvloop
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AsyncIO, Middleware, ShutdownNotifications, TimeLimit
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.core import keys
from app.core.logs import configure_logs
from app.core.queue import is_rabbitmq, rabbitmq_broker, redis_place
from app.core.settings import Settings
from workers import runtime
from workers.doorbell import WokenBroker

T = TypeVar("T")

_HOUR_MS = 3_600_000
_LEAVE_SECONDS = 2.0
_LEAVING = (signal.SIGTERM, signal.SIGHUP)


def setup() -> None:
    """Makes the broker of this process the one that actors register with."""
    settings = Settings()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    # Dramatiq sends what its processes write through its first one, which costs both of them; a line needs no help.
    configure_logs(settings.log_format, sys.__stderr__)
    broker = rabbitmq_broker(settings.queue) if is_rabbitmq(settings.queue) else _redis_broker(settings.queue)
    # Order is behaviour: "before" hooks run downwards, "after" hooks upwards. There is no Retries: what a job promises
    # is kept by its own state and by the reaper, which also finds what the broker loses.
    for middleware in (
        # The last resort: an attempt is ended by its own limit (see `workers.hold`) before this.
        TimeLimit(time_limit=int((settings.job_hours + 1) * _HOUR_MS)),
        # At SIGTERM first nothing new is begun …
        TakeNoMore(),
        # … and then actors are ended, instead of waited for; they hand their jobs back, which go on elsewhere.
        ShutdownNotifications(notify_shutdown=True),
        # What is logged on behalf of a message says which request asked for it.
        LogContext(),
        # Runs actors on one event loop for the process …
        AsyncIO(),
        # … on which the connections live, so it comes after and goes before.
        OpenRuntime(settings),
    ):
        broker.add_middleware(middleware)
    dramatiq.set_broker(broker)


def _redis_broker(url: str) -> WokenBroker:
    # A dead worker's messages come back after seconds: it counts as dead after 8 s without a sign of life, and every
    # command looks for the dead. (As Dramatiq comes, both take minutes. RabbitMQ knows by itself who is gone.)
    lively = {"heartbeat_timeout": 8_000, "maintenance_chance": 1_000_000}
    return WokenBroker(bell=url, middleware=[], namespace=keys.QUEUE_NAMESPACE, **redis_place(url), **lively)


class LogContext(Middleware):
    """Has every log line of an actor bear its message's `request`. (Tasks that a thread starts on the event loop take
    the thread's context along.)"""

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        clear_contextvars()
        if request := message.options.get("request"):
            bind_contextvars(request=request)


class TakeNoMore(Middleware):
    """Has the threads of a worker that leaves end when they have nothing to do, before those at work are told.

    Else one of them takes the very job that another hands back, is not told any more, and the job is lost with it.
    """

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        worker.work_queue = ClosableQueue()
        _leave_once()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        for thread in worker.workers:
            thread.stop()
        assert isinstance(worker.work_queue, ClosableQueue)
        worker.work_queue.close()


class ClosableQueue(PriorityQueue[Any]):
    """A queue on which an idle thread waits for as long as it takes; Dramatiq's wake some times a second to see whether
    they are to end. Once it is closed nothing is got from it."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next item. Raises Empty where there is none, which is only told of a closed queue if `block`."""
        with self.not_empty:
            while block and not self._qsize() and not self._closed:
                self.not_empty.wait()
            if (self._closed and block) or not self._qsize():
                raise Empty
            self.not_full.notify()
            return self._get()

    def close(self) -> None:
        """Whoever waits ends."""
        with self.not_empty:
            self._closed = True
            self.not_empty.notify_all()


class OpenRuntime(Middleware):
    """Opens the worker's runtime on the event loop before it takes work, and closes it after the last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: AbstractAsyncContextManager[runtime.Runtime] | None = None

    @property
    def actor_options(self) -> set[str]:
        """`throws`: what an actor may raise without an error in the log. (Dramatiq has it declared by its Retries.)"""
        return {"throws"}

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._opened = runtime.opened(self._settings)
        runtime.set_current(_on_loop(self._opened.__aenter__()))

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        if self._opened is not None:
            _on_loop(self._opened.__aexit__(None, None, None))
            runtime.set_current(None)
        _leave_within(_LEAVE_SECONDS)


def _leave_once() -> None:
    """Has this process told to leave no more than once.

    Whoever loses its parent, or is stopped together with it, is told twice, and at the second time Dramatiq's main
    thread ends there and then: its other threads, which nobody stops any more, would keep the process for ever.
    """
    # One way of Dramatiq's for both: a worker that is hung up leaves, and its parent begins anew.
    leave = signal.getsignal(signal.SIGTERM)

    def once(number: int, frame: FrameType | None) -> None:
        for told in _LEAVING:
            signal.signal(told, signal.SIG_IGN)
        assert callable(leave)
        leave(number, frame)

    if callable(leave) and threading.current_thread() is threading.main_thread():
        for told in _LEAVING:
            signal.signal(told, once)


def _leave_within(seconds: float) -> None:
    """Ends this process, which has nothing left to do, even if a thread of Dramatiq's does not end.

    One that acknowledges a message tries it until the broker answers: where that went away for good, for ever. What was
    not acknowledged is delivered again, and finds its job done.
    """
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()


def _on_loop(work: Coroutine[Any, Any, T]) -> T:
    loop = get_event_loop_thread()
    assert loop is not None, "AsyncIO comes before OpenRuntime"
    return loop.run_coroutine(work)
