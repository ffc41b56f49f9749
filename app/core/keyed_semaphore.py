"""Slots: how many things under one name are done at once, and how many may wait for that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from app.core.errors import TooMany


class KeyedSemaphore:
    """A bound for each name, first come, first served; nothing is kept of a name that has no slot.

    Args:
        most: slots of one name that are held at once.
        waiting: how many more may wait for one.
    """

    def __init__(self, most: int, waiting: int) -> None:
        self._most = most
        self._most_waiting = waiting
        self._held: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def of(self, name: str) -> Slot:
        """A slot of this name, not yet held."""
        return Slot(self, name)

    def check(self, name: str) -> None:
        """Raises TooMany (`too_many_at_once`) where too many wait already."""
        if self._held.get(name, 0) >= self._most and len(self._waiting.get(name, ())) >= self._most_waiting:
            raise TooMany(
                f"That is more than {self._most + self._most_waiting} requests at once; wait for one to end.",
                code="too_many_at_once",
                retry_after=1,
                limit=self._most + self._most_waiting,
            )

    async def acquire(self, name: str) -> None:
        """Waits until this name has a slot to spare, and takes it."""
        held = self._held.get(name, 0)
        if held < self._most:
            self._held[name] = held + 1
            return
        waiting = self._waiting.setdefault(name, deque())
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # It had come in that very moment.
                self.release(name)
            else:
                waiting.remove(turn)
                if not waiting:
                    self._waiting.pop(name, None)
            raise

    def release(self, name: str) -> None:
        """Gives a slot back, or to whoever has waited longest."""
        waiting = self._waiting.get(name)
        while waiting:
            turn = waiting.popleft()
            if not waiting:
                del self._waiting[name]
            if not turn.done():
                turn.set_result(None)
                return
        self._held[name] -= 1
        if not self._held[name]:
            del self._held[name]


class Slot:
    """Held while the context is open; a context can be opened again once it is closed."""

    __slots__ = ("_name", "_slots")

    def __init__(self, slots: KeyedSemaphore, name: str) -> None:
        self._slots = slots
        self._name = name

    async def __aenter__(self) -> None:
        await self._slots.acquire(self._name)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._slots.release(self._name)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Within the context somebody else may have the slot that is held: for time in which a client is waited for."""
        self._slots.release(self._name)
        try:
            yield
        finally:
            await self._slots.acquire(self._name)
