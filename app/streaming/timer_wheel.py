"""One timer for all streams: heartbeats, the ends of credentials, send timeouts.

A stream has one place on it, at its next moment or before; when that comes, the stream looks what is due and takes
another. What is written to it meanwhile touches nothing here. A turn costs what is due in it, however many streams
there are.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

TICK = 0.1
"""Seconds between two turns; what is due within a tick is due."""


class Timed(Protocol):
    """What is to be called at some moment; `slot` belongs to the wheel."""

    slot: int

    def on_timer(self) -> None:
        """Do what is due, and schedule the next moment."""


class TimerWheel:
    """A wheel of slots, one for each tick. It turns while anything is scheduled."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, set[Timed]] = {}
        self._at = 0
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self, due: Timed, moment: float) -> None:
        """Have `due.on_timer` called at `moment` of the loop's clock, not before."""
        if self._timer is None:
            self._at = int(self._loop.time() / TICK)
            self._timer = self._loop.call_later(TICK, self._turn)
        self.remove(due)
        slot = due.slot = max(self._at + 1, int(moment / TICK))
        if (waiting := self._slots.get(slot)) is None:
            waiting = self._slots[slot] = set()
        waiting.add(due)

    def remove(self, due: Timed) -> None:
        if slot := self._slots.get(due.slot):
            slot.discard(due)

    def _turn(self) -> None:
        # If the loop was busy, all turns that were missed are made up for.
        upto = max(int(self._loop.time() / TICK), self._at + 1)
        while self._at < upto:
            self._at += 1
            for due in self._slots.pop(self._at, ()):
                due.on_timer()
        self._timer = self._loop.call_later(TICK, self._turn) if self._slots else None
