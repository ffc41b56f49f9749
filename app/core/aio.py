"""Tasks that wait for each other, and that end so that they have ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

_PATIENCE_SECONDS = 0.5

T = TypeVar("T")


async def done_within(future: asyncio.Future[Any], seconds: float) -> bool:
    """Waits for what others wait for, too; whether it was done by then. As `asyncio.wait`, at a third of its cost."""
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
    """Waits of the same length, with one timer for all of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waits: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, future: asyncio.Future[Any]) -> None:
        """Returns when `future`, which is nobody else's, is done. Raises TimeoutError where it is not in time."""
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
    """Who comes under the same name goes one after the other; of a name that nobody has, nothing is kept."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def of(self, name: str) -> _KeyedLockHolder:
        """An async context manager: within it nobody else has this name's turn."""
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
                # It had come in that very moment.
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
    """Finds something out once for all who ask while it is being found out.

    Args:
        find: what finds it out; it goes on where those who asked have gone.
    """

    def __init__(self, find: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._find = find
        self._finding: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """What `find` returns or raises."""
        if self._finding is None or self._finding.done():
            self._finding = asyncio.create_task(self._find())
            # Whoever asked may be gone by the time that it fails.
            self._finding.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._finding)

    async def close(self) -> None:
        if self._finding is not None:
            await cancel_and_wait(self._finding)


async def cancel_and_wait(*tasks: asyncio.Task[object]) -> None:
    """Cancels tasks, again and again until each has ended, and takes what they raise.

    Once is not enough: a library, or `asyncio.wait_for` before Python 3.12, may swallow one that comes in the very
    moment in which what they wait for is done.
    """
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_PATIENCE_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()
