"""The service's status for the streams that watch it: found out once for all, only while there are any."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from app.core.aio import cancel_and_wait, done_within
from app.core.status.service import Status
from app.streaming.wire import control, framed

logger = structlog.get_logger()

_EVERY_SECONDS = 2.0


class Watcher(Protocol):
    """A stream that watches the status."""

    def tell(self, written: bytes) -> None:
        """Send these bytes unless the client is behind: newer ones will come."""


class StatusBroadcaster:
    """Sends the status to its watchers every two seconds, and to a new one at once."""

    def __init__(self, status: Callable[[], Awaitable[Status]]) -> None:
        self._status = status
        self._watchers: set[Watcher] = set()
        self._came: asyncio.Future[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def add(self, watcher: Watcher) -> None:
        self._watchers.add(watcher)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())
        elif self._came is not None and not self._came.done():
            self._came.set_result(None)

    def discard(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)

    async def close(self) -> None:
        if self._telling is not None:
            await cancel_and_wait(self._telling)

    async def _tell(self) -> None:
        """Send the status while there are watchers."""
        while self._watchers:
            try:
                told = await self._status()
            except OSError as error:
                logger.warning("status_untold", error=str(error))
            else:
                written = framed(control("status", told.json_dict()))
                for watcher in list(self._watchers):
                    watcher.tell(written)
            self._came = asyncio.get_running_loop().create_future()
            await done_within(self._came, _EVERY_SECONDS)
