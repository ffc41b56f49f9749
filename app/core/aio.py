"""What asyncio lacks: shared timeouts, keyed locks, shared calls, and a cancellation that waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_PATIENCE_SECONDS = 0.5

T = TypeVar("T")


async def done_within(future: asyncio.Future[Any], seconds: float) -> bool:
    """Wait for a future that others may wait for too; return whether it was done in time. Costs a third of
    `asyncio.wait`."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    timer = loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        future.remove_done_callback(wake)
    return future.done()


class SharedTimeout:
    """Timeouts of the same length, with one timer for all of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waits: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, future: asyncio.Future[Any]) -> None:
        """Wait until `future` is done; nobody else may wait for it. Raises TimeoutError."""
        loop, waits = asyncio.get_running_loop(), self._waits
        while waits and waits[0][1].done():
            waits.popleft()
        waits.append((loop.time() + self._seconds, future))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)
        await future

    def _look(self) -> None:
        loop, waits = asyncio.get_running_loop(), self._waits
        while waits and (waits[0][0] <= loop.time() or waits[0][1].done()):
            _, future = waits.popleft()
            if not future.done():
                future.set_exception(TimeoutError())
        self._timer = loop.call_later(waits[0][0] - loop.time(), self._look) if waits else None


class KeyedLock:
    """One lock for each key. Nothing is kept for a key that nobody holds or waits for."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def of(self, name: str) -> _KeyedLockHolder:
        """Return an async context manager that holds the lock of `name`."""
        return _KeyedLockHolder(self._waiting, name)


class _KeyedLockHolder:
    __slots__ = ("_name", "_waiting")

    def __init__(self, waiting: dict[str, deque[asyncio.Future[None]]], name: str) -> None:
        self._waiting = waiting
        self._name = name

    async def __aenter__(self) -> None:
        waiting = self._waiting.get(self._name)
        if waiting is None:
            self._waiting[self._name] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                # The lock was passed to this task just before it was cancelled.
                self._pass_on()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        waiting = self._waiting[self._name]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._waiting[self._name]


class SharedCall(Generic[T]):
    """One call shared by all callers that arrive while it runs.

    Args:
        find: the call; it goes on when its callers are cancelled.
    """

    def __init__(self, find: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._find = find
        self._finding: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """Return or raise what `find` does."""
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._find())
            # All callers may be gone when it fails.
            self._finding.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._finding)

    async def close(self) -> None:
        if self._finding is not None:
            await cancel_and_wait(self._finding)


async def cancel_and_wait(*tasks: asyncio.Task[object]) -> None:
    """Cancel tasks until each has ended, and discard what they raise.

    Once is not enough: a library, or `asyncio.wait_for` before Python 3.12, may swallow a cancellation that arrives in
    the moment in which the awaited thing is done.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_PATIENCE_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
