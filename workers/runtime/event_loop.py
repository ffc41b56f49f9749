"""Dramatiq's event loop in a worker, by uvloop: about twice as fast as asyncio's own."""

from __future__ import annotations

from logging import Logger
from typing import Any

import uvloop
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.middleware import AsyncIO

_START_SECONDS = 1.0


class UvloopThread(EventLoopThread):
    """A uvloop in a thread. (A policy would make all loops such; Python 3.14 deprecates policies.)"""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logger)
        self.loop.close()
        self.loop = uvloop.new_event_loop()


class Uvloop(AsyncIO):
    """Starts that thread, and ends it as Dramatiq's middleware does."""

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        thread = UvloopThread(self.logger)
        thread.start(timeout=_START_SECONDS)
        set_event_loop_thread(thread)
