"""Draining: when the process is to end, each reader is told goodbye at a moment of its own.

uvicorn waits for open connections before it ends the lifespan, so draining hangs on the signal itself.
"""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drain:
    """Whether this process drains, and when each of its readers should leave."""

    def __init__(self, seconds: float, interrupt: Callable[[], None]) -> None:
        self._seconds = seconds
        self._interrupt = interrupt
        self._since: float | None = None

    @property
    def started(self) -> bool:
        return self._since is not None

    def begin(self) -> None:
        """Start to drain. Idempotent."""
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
            self._interrupt()

    def moment(self) -> float | None:
        """Return a reader's moment to leave, on the loop's clock; None while nobody has to."""
        return None if self._since is None else self._since + random.random() * self._seconds

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Start at SIGTERM or SIGINT, before the server's own handler runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in _SIGNALS}

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self.begin)
            handler: Any = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in _SIGNALS:
            signal.signal(number, handle)
        try:
            yield
        finally:
            # A handler that was set by others meanwhile stays.
            for number, handler in before.items():
                if signal.getsignal(number) is handle:
                    signal.signal(number, handler)
