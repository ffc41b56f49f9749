"""Decides which of a worker's jobs of one queue run, so that a long job does not delay another user's short one.

A worker has a number of places. When messages wait in the queue, it takes a few more jobs as guests. A free place goes
to a job of the user who has the fewest. A job of a user who has more places than one that waits gives its place up at
its next checkpoint, after each segment, and waits in the same process: it keeps its lease, its attempt and all that it
has made. A guest that gets no place within two seconds starts without one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextvars import ContextVar

SLICE_SECONDS = 1.0
"""Seconds that a job runs before it gives its place to one that was started earlier."""

PATIENCE_SECONDS = 2.0
"""Seconds that a new job waits for others to reach a checkpoint."""

_HAND_BACK_SECONDS = 5.0


class Preempted(Exception):
    """The job is to be requeued: more users wait than this worker can hold jobs for."""


class JobSlot:
    """A job's permission to run, on behalf of its `user`. Made by `Scheduler.acquire`."""

    def __init__(self, scheduler: Scheduler, user: str, now: float) -> None:
        self.user = user
        self.begun = False
        self.since = now
        """When it got or lost its place."""
        self._parked = 0.0
        self._scheduler = scheduler
        self._go = asyncio.Event()
        self._handed_back = False
        self._ran = 0.0
        self._caught_up: float | None = None

    @property
    def is_going(self) -> bool:
        """Whether it has a place."""
        return self._go.is_set() and not self._handed_back

    @property
    def parked_seconds(self) -> float:
        """How long it has waited since it started."""
        is_parked = self.begun and not self._go.is_set()
        return self._parked + (self._scheduler.now() - self.since if is_parked else 0.0)

    async def checkpoint(self, *, new_work: bool = True) -> None:
        """Wait until the job may go on, often not at all. Any number of a job's tasks may call it.

        `new_work`: whether it is past what an earlier attempt had done. Raises Preempted.
        """
        if self._caught_up is None and new_work:
            self._caught_up = self._ran + self._scheduler.now() - self.since
        if self._go.is_set() and self._scheduler.must_yield(self):
            self._scheduler.park(self)
        await self.wait()

    async def wait(self) -> None:
        """Wait until the job has a place. Raises Preempted."""
        await self._go.wait()
        if self._handed_back:
            raise Preempted

    def go(self, now: float) -> None:
        """Give it a place."""
        if self.begun:
            self._parked += now - self.since
        self.begun, self.since = True, now
        self._go.set()

    def stop(self, now: float) -> None:
        """Take its place away."""
        self._ran += now - self.since
        self.since = now
        self._go.clear()

    def hand_back(self) -> None:
        self._handed_back = True
        self._go.set()

    def may_be_handed_back(self, now: float) -> bool:
        """Whether it has done more than it took to reach the point of an earlier attempt; else it would never end."""
        new = self._ran - self._caught_up if self._caught_up is not None else 0.0
        waited = now - self.since
        enough = max(self._caught_up or 0.0, _HAND_BACK_SECONDS)
        return self.begun and not self._handed_back and new >= enough and waited >= _HAND_BACK_SECONDS


class Scheduler:
    """Schedules the jobs of one queue in one worker. It belongs to the event loop.

    Args:
        places: how many run at once, as a rule.
        guests: how many more are held, all of which may start without a place.
    """

    def __init__(
        self, places: int, guests: int, *, slice_seconds: float = SLICE_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.places = places
        self.guests = guests
        self._slice = slice_seconds
        self._patience = patience
        self._running: list[JobSlot] = []
        self._waiting: list[JobSlot] = []

    @property
    def is_busy(self) -> bool:
        """Whether all places are taken."""
        return len(self._running) >= self.places

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def acquire(self, user: str) -> JobSlot | None:
        """Return a slot with a place, once there is one; None if another worker may have one sooner.

        Release the slot with `release`.
        """
        slot = JobSlot(self, user, self.now())
        self._waiting.append(slot)
        self._grant()
        try:
            while not slot.begun:
                await self._soon(slot)
                if not slot.begun and not self._insist(slot):
                    self._waiting.remove(slot)
                    return None
        except BaseException:
            self.release(slot)
            raise
        return slot

    def release(self, slot: JobSlot) -> None:
        """Release the slot of a job that has ended."""
        for slots in (self._running, self._waiting):
            if slot in slots:
                slots.remove(slot)
        self._grant()

    def must_yield(self, slot: JobSlot) -> bool:
        """Return whether `slot` must give up its place: to a user with fewer, or because more run than there are
        places."""
        users = self._users()
        mine, ran = users[slot.user], self.now() - slot.since
        for other in self._waiting:
            fewer = other.user != slot.user and users[other.user] < mine
            if fewer and (not other.begun or ran >= self._slice):
                return True
        return len(self._running) > self.places and ran >= self._slice and mine == max(users.values())

    def park(self, slot: JobSlot) -> None:
        """Give the place of `slot` to another."""
        self._running.remove(slot)
        slot.stop(self.now())
        self._waiting.append(slot)
        self._grant()

    def hand_one_back(self) -> bool:
        """Have a waiting job of the user with the most requeued; return whether there is one."""
        now = self.now()
        kept = Counter(slot.user for slot in [*self._running, *self._waiting])
        fit = [slot for slot in self._waiting if slot.may_be_handed_back(now)]
        if not fit:
            return False
        chosen = max(fit, key=lambda slot: (kept[slot.user], now - slot.since))
        self._waiting.remove(chosen)
        chosen.hand_back()
        return True

    def _users(self) -> Counter[str]:
        return Counter(slot.user for slot in self._running)

    def _grant(self) -> None:
        while self._waiting and len(self._running) < self.places:
            users = self._users()
            # Among equals the first has waited longest.
            self._begin(min(self._waiting, key=lambda slot: users[slot.user]))

    def _begin(self, slot: JobSlot) -> None:
        self._waiting.remove(slot)
        self._running.append(slot)
        slot.go(self.now())

    async def _soon(self, slot: JobSlot) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await slot.wait()
        except TimeoutError:
            pass

    def _insist(self, slot: JobSlot) -> bool:
        """Start `slot` without a place if others have more than its user; return whether it did."""
        users = self._users()
        if len(self._running) >= self.places + self.guests or users[slot.user] >= max(users.values(), default=0):
            return False
        self._begin(slot)
        return True


_slot: ContextVar[JobSlot | None] = ContextVar("slot", default=None)


def current_slot() -> JobSlot | None:
    """Return the slot of this task's job; None if the worker has no scheduler."""
    return _slot.get()


def set_slot(slot: JobSlot) -> None:
    """Set the slot of this task and of those that it starts."""
    _slot.set(slot)
