"""Slots of a name: so many at once, so many more that wait, first come, first served."""

from __future__ import annotations

import asyncio

import pytest

from app.core.aio import cancel_and_wait
from app.core.errors import TooMany
from app.core.keyed_semaphore import KeyedSemaphore
from tests.support import until


async def test_slots_of_a_name_are_bounded_and_given_to_who_waited_longest() -> None:
    slots = KeyedSemaphore(2, waiting=10)
    held: list[int] = []
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        async with slots.of("alice"):
            held.append(number)
            most = max(most, len(slots._held) and slots._held["alice"])
            await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(6)))
    assert held == [0, 1, 2, 3, 4, 5]
    assert most == 2
    assert not slots._held
    assert not slots._waiting


async def test_names_do_not_wait_for_each_other() -> None:
    slots = KeyedSemaphore(1, waiting=0)
    async with slots.of("alice"), slots.of("bob"):
        pass


async def test_more_than_may_wait_are_refused() -> None:
    slots = KeyedSemaphore(1, waiting=1)
    async with slots.of("alice"):
        slots.check("alice")
        waiting = asyncio.create_task(slots.acquire("alice"))
        await until(lambda: slots._waiting)
        with pytest.raises(TooMany) as refused:
            slots.check("alice")
        assert (refused.value.code, refused.value.retry_after, refused.value.extra) == (
            "too_many_at_once",
            1,
            {"limit": 2},
        )
        slots.check("bob")
    await waiting
    slots.release("alice")
    assert not slots._held


@pytest.mark.parametrize("turn_has_come", [False, True])
async def test_who_goes_away_while_waiting_keeps_no_slot(turn_has_come: bool) -> None:
    slots = KeyedSemaphore(1, waiting=2)
    await slots.acquire("alice")
    leaving = asyncio.create_task(slots.acquire("alice"))
    staying = asyncio.create_task(slots.acquire("alice"))
    await until(lambda: len(slots._waiting.get("alice", ())) == 2)
    if turn_has_come:
        slots.release("alice")
    await cancel_and_wait(leaving)
    if not turn_has_come:
        slots.release("alice")
    await staying
    slots.release("alice")
    assert not slots._held
    assert not slots._waiting


async def test_slot_that_is_lent_is_taken_back() -> None:
    slots = KeyedSemaphore(1, waiting=0)
    slot = slots.of("alice")
    async with slot:
        async with slot.lent(), slots.of("alice"):
            pass
        assert slots._held == {"alice": 1}
    assert not slots._held
