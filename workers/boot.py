"""The worker's entry, which Dramatiq calls (see `app.cli.worker`). The broker is set before the actors load."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import FrameType

import dramatiq
from dramatiq.broker import Broker
from dramatiq.middleware import Middleware

from app.core import gc_tuning
from app.core.jobs.broker import AsyncRedisBroker, is_rabbitmq, rabbitmq_broker
from app.core.settings import Settings
from app.core.telemetry.logs import configure_logs
from workers.core import shutdown
from workers.runtime import context
from workers.runtime.event_loop import Uvloop
from workers.runtime.executor import on_loop
from workers.runtime.rabbitmq_consumer import RabbitmqConsumerMiddleware
from workers.runtime.redis_consumer import RedisConsumerMiddleware

_LEAVE_SECONDS = 2.0
LEAVING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Signals that end a worker; Ctrl-C does not reach a worker under Dramatiq's command before this is set."""


def setup(*, watched: bool = True) -> None:
    """Make the broker of this process, with which actors register.

    `watched`: Dramatiq's command runs this process, with signal handlers that survive one signal only.
    """
    settings = Settings()
    # Dramatiq passes its processes' output through its first one, at a cost for both; log lines need no such help.
    configure_logs(settings.log_format, sys.__stderr__)
    broker, taking = _taking(settings)
    # Order is behaviour: "before" hooks run downwards, "after" hooks upwards. There is no Retries: what a job promises
    # is kept by its own state and by the reaper, which also finds what the broker loses. There is no TimeLimit: an
    # attempt is ended by its own (see `workers.runtime.lease`).
    for middleware in (
        # One event loop for the process …
        Uvloop(),
        # … on which actors run, …
        taking,
        # … and on which the connections live, so it comes after and goes before.
        OpenRuntime(settings, taking.fault, watched=watched),
    ):
        broker.add_middleware(middleware)
    dramatiq.set_broker(broker)


def _taking(settings: Settings) -> tuple[Broker, RabbitmqConsumerMiddleware | RedisConsumerMiddleware]:
    """Return the broker, and the middleware that consumes its messages."""
    if is_rabbitmq(settings.queue):
        return rabbitmq_broker(settings.queue), RabbitmqConsumerMiddleware(settings.worker_concurrency)
    broker = AsyncRedisBroker(settings.queue)
    return broker, RedisConsumerMiddleware(broker, settings.worker_concurrency)


class OpenRuntime(Middleware):
    """Opens the worker's runtime on the event loop before it takes work, and closes it after the last job."""

    def __init__(self, settings: Settings, fault: Callable[[], str] = str, *, watched: bool = True) -> None:
        self._settings = settings
        self._fault = fault
        self._watched = watched
        self._opened: AbstractAsyncContextManager[context.Runtime] | None = None

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        if self._watched:
            _leave_once()
        self._opened = context.opened(self._settings, self._fault)
        context.set_current(on_loop(self._opened.__aenter__()))
        gc_tuning.settle()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        if self._opened is not None:
            on_loop(self._opened.__aexit__(None, None, None))
            context.set_current(None)
        _leave_within(_LEAVE_SECONDS)


def _leave_once() -> None:
    """Let signals end this process only once.

    A process that loses its parent, or is stopped together with it, gets two signals. At the second one Dramatiq's main
    thread ends at once, and its other threads would keep the process for ever.
    """
    # Dramatiq handles both alike: a worker ends at SIGHUP, and its parent starts another.
    leave = signal.getsignal(signal.SIGTERM)

    def once(number: int, frame: FrameType | None) -> None:
        for told in LEAVING:
            signal.signal(told, signal.SIG_IGN)
        shutdown.tell()
        assert callable(leave)
        leave(number, frame)

    if callable(leave) and threading.current_thread() is threading.main_thread():
        for told in LEAVING:
            signal.signal(told, once)


def _leave_within(seconds: float) -> None:
    """End this process, which has nothing left to do, even if a thread of Dramatiq's does not end.

    A thread that acknowledges a message tries until the broker answers, possibly for ever. A message that was not
    acknowledged is delivered again, and its job is found done.
    """
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
