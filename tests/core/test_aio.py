"""Who waits under one name, and who waits for as long as others."""

from __future__ import annotations

import asyncio

import pytest

from app.core.aio import KeyedLock, SharedTimeout
from tests.support import until


async def soon() -> None:
    """Lets everything go on that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_of_a_name_come_one_after_the_other_in_order() -> None:
    turns, told, go = KeyedLock(), [], asyncio.Event()

    async def one(name: str, number: int) -> None:
        async with turns.of(name):
            told.append(("in", name, number))
            await go.wait()
            await asyncio.sleep(0)
            told.append(("out", name, number))

    tasks = [asyncio.create_task(one(name, number)) for number in range(3) for name in ("a", "b")]
    await soon()
    assert told == [("in", "a", 0), ("in", "b", 0)]
    go.set()
    await asyncio.gather(*tasks)
    for name in ("a", "b"):
        seen = [(way, number) for way, whose, number in told if whose == name]
        assert seen == [(way, number) for number in range(3) for way in ("in", "out")]
    assert not turns._waiting


async def test_turn_that_is_given_up_is_passed_on() -> None:
    turns, taken = KeyedLock(), []

    async def one(number: int) -> None:
        async with turns.of("a"):
            taken.append(number)

    first = turns.of("a")
    await first.__aenter__()
    tasks = [asyncio.create_task(one(number)) for number in range(4)]
    await soon()
    tasks[0].cancel()  # while it waits
    await soon()
    await first.__aexit__(None, None, None)
    tasks[1].cancel()  # in the moment in which its turn has come
    await asyncio.gather(*tasks, return_exceptions=True)
    assert taken == [2, 3]
    assert not turns._waiting


async def test_turn_ends_with_an_error_too() -> None:
    turns = KeyedLock()
    with pytest.raises(ValueError, match="broken"):
        async with turns.of("a"):
            raise ValueError("broken")
    async with asyncio.timeout(1), turns.of("a"):
        pass


async def test_each_wait_is_as_long_as_the_others_whoever_is_done_meanwhile() -> None:
    loop, waits = asyncio.get_running_loop(), SharedTimeout(0.2)
    began = loop.time()
    late: list[float] = []

    async def one(future: asyncio.Future[None]) -> None:
        try:
            await waits.wait(future)
        except TimeoutError:
            late.append(loop.time() - began)

    futures = [loop.create_future() for _ in range(4)]
    tasks = [asyncio.create_task(one(future)) for future in futures[:3]]
    await soon()
    futures[0].set_result(None)
    tasks[1].cancel()
    await until(lambda: loop.time() > began + 0.1)
    tasks.append(asyncio.create_task(one(futures[3])))
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(late) == 2
    assert late[0] >= 0.19
    assert late[1] >= 0.29
    await asyncio.wait_for(waits.wait(_done(loop)), 1)


def _done(loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    future = loop.create_future()
    loop.call_later(0.01, future.set_result, None)
    return future
