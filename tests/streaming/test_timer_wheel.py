"""Moments of many on one timer."""

from __future__ import annotations

import asyncio

from app.streaming.timer_wheel import TICK, TimerWheel
from tests.support import until


class Hand:
    """Notes when it is looked at."""

    def __init__(self) -> None:
        self.slot = 0
        self.looked: list[float] = []

    def on_timer(self) -> None:
        self.looked.append(asyncio.get_running_loop().time())


async def test_each_is_looked_at_by_its_moment_and_once() -> None:
    wheel, now = TimerWheel(), asyncio.get_running_loop().time()
    moments = [0.0, 0.15, 0.3, 0.3, 0.55]
    hands = [Hand() for _ in moments]
    for hand, moment in zip(hands, moments, strict=True):
        wheel.schedule(hand, now + moment)
    await until(lambda: all(hand.looked for hand in hands))
    for hand, moment in zip(hands, moments, strict=True):
        [looked] = hand.looked
        assert looked >= now + moment - TICK


async def test_moment_that_is_put_off_or_taken_away_does_not_come() -> None:
    wheel, now = TimerWheel(), asyncio.get_running_loop().time()
    put_off, taken_away, last = Hand(), Hand(), Hand()
    for hand in (put_off, taken_away):
        wheel.schedule(hand, now + 0.2)
    wheel.schedule(put_off, now + 60)
    wheel.remove(taken_away)
    wheel.schedule(last, now + 0.4)
    await until(lambda: last.looked)
    assert put_off.looked == taken_away.looked == []


async def test_wheel_with_nobody_on_it_stands_still_and_turns_again() -> None:
    wheel, loop = TimerWheel(), asyncio.get_running_loop()
    for _ in range(2):
        hand = Hand()
        wheel.schedule(hand, loop.time())
        await until(lambda hand=hand: hand.looked)
