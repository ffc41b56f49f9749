"""A semaphore for each key: how many hold it at once, and how many may wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

from app.core.errors import TooMany


class KeyedSemaphore:
    """One semaphore for each key, first come, first served. Nothing is kept for a key that nobody holds.

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
        """Return a slot of this key, not yet held."""
        return Slot(self, name)

    def check(self, name: str) -> None:
        """Raise TooMany (`too_many_at_once`) if too many wait already."""
        if self._held.get(name, 0) >= self._most and len(self._waiting.get(name, ())) >= self._most_waiting:
            raise TooMany(
                f"That is more than {self._most + self._most_waiting} requests at once; wait for one to end.",
                code="too_many_at_once",
                retry_after=1,
                limit=self._most + self._most_waiting,
            )

    async def acquire(self, name: str) -> None:
        """Wait until the key has a free slot, and take it."""
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
                # The slot was passed to this task just before it was cancelled.
                self.release(name)
            else:
                waiting.remove(turn)
                if not waiting:
                    self._waiting.pop(name, None)
            raise

    def release(self, name: str) -> None:
        """Free a slot, or pass it to the one that has waited longest."""
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
    """A slot, held within the context; the context can be entered again after it was left."""

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
        """Lend the slot within the context, while a client is waited for."""
        self._slots.release(self._name)
        try:
            yield
        finally:
            await self._slots.acquire(self._name)
