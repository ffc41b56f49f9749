"""One user's latest events in a web process, and how they get to whoever follows them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, Protocol

from app.core.aio import done_within
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import LogEntry
from app.core.telemetry.metrics import LAGS
from app.streaming.wire import EventChunk, chunks_of


class Follower(Protocol):
    """A stream, which is told at once of what comes: as long as it is `live`, its cursor is the top of its feed."""

    live: bool

    def follow(self, chunks: Sequence[EventChunk], now: float) -> None:
        """Takes what lies between its cursor and the new top, or is no longer `live`; `now` is the loop's time."""

    def fell_behind(self) -> None:
        """It is no longer live, and is to catch up."""

    def on_timer(self) -> None:
        """It has something else to do than to wait for events."""


class FeedVersion(NamedTuple):
    """How often a feed had changed, and the latest event that it had been told of, at some moment."""

    changes: int
    last_seen: Cursor | None


class Feed:
    """One user's latest events in this process, and whoever waits for more."""

    def __init__(self, length: int) -> None:
        self.readers = 0
        self.followers: set[Follower] = set()
        self.confirmed = False
        self._waiting: list[asyncio.Future[None]] = []
        self.top: Cursor | None = None
        self.last_seen: Cursor | None = None
        self.ring: deque[LogEntry] = deque(maxlen=length)
        self.interruptions = 0
        self.changes = 0
        self._pending: list[LogEntry] = []
        self._wake: asyncio.Future[None] | None = None

    def confirmation(self) -> asyncio.Future[None]:
        """Done when the subscription is confirmed, which it is not yet; one for each who waits."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter

    def confirm(self) -> None:
        """The subscription holds."""
        self.confirmed = True
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def push(self, id: Cursor, entry: LogEntry) -> None:
        """Takes the next event, to be delivered with what comes together with it; one that does not follow the last
        drops what was held."""
        self.changes += 1
        top = self.top
        if top is not None and (id.epoch != top.epoch or id.seq != top.seq + 1):
            if top.seq and id <= top:
                return
            if not top.precedes(id):
                self.ring.clear()
                self._leave_behind()
        self.ring.append(entry)
        self._pending.append(entry)
        self.top = self.last_seen = id

    def deliver(self) -> None:
        """Tells everyone of what was pushed. To those who are live it is written here and now."""
        entries, self._pending = self._pending, []
        if entries and self.followers and self.top is not None:
            chunks, now = chunks_of(entries, self.top), asyncio.get_running_loop().time()
            for follower in self.followers:
                if follower.live:
                    follower.follow(chunks, now)
            LAGS.written(entries)
        self.wake()

    def drop(self) -> None:
        """Forgets what is held, so that every reader asks the log."""
        self.changes += 1
        self.ring.clear()
        self._leave_behind()
        self.wake()

    def sync_to(self, top: Cursor) -> None:
        """The log was read, and ends here: from here on pushes tell.

        What is held ends here too, or is dropped. Of two places before a log's first event neither is behind the other.
        """
        if self.ring and self.ring[-1].id != top:
            self.ring.clear()
        if self.top != top and not (self.top is not None and self.top.seq == top.seq == 0):
            self._leave_behind()
        self.top = self.last_seen = top

    def refill(self, entries: Sequence[LogEntry]) -> None:
        """What was read of the log, to its end, serves whoever is on the way, too; for a lone reader it is not held."""
        last = entries[-1].id
        if not self.ring and self.top in (None, last):
            if self.readers > 1:
                self.ring.extend(entries)
            self.sync_to(last)

    def after(self, cursor: Cursor) -> list[LogEntry] | None:
        """What lies past the cursor, if the ring can tell; None where only the log can.

        Of a cursor without an event only the log knows whether there was another log before.
        """
        if cursor == self.top:
            return []
        if not self.ring or cursor.seq == 0:
            return None
        first, last = self.ring[0].id, self.ring[-1].id
        if cursor.precedes(first):
            return list(self.ring)
        if cursor.epoch == first.epoch == last.epoch and first.seq <= cursor.seq <= last.seq:
            return list(islice(self.ring, cursor.seq - first.seq + 1, None))
        return None

    def interrupt(self) -> None:
        """Every read that waits ends, with nothing: its reader has something else to do."""
        self.interruptions += 1
        for follower in list(self.followers):
            follower.on_timer()
        self.wake()

    def wake(self) -> None:
        """Everyone who waits looks again."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._wake = None

    async def wait(self, timeout: float) -> None:
        """Returns when woken or after `timeout` seconds."""
        if self._wake is None:
            self._wake = asyncio.get_running_loop().create_future()
        await done_within(self._wake, timeout)

    def _leave_behind(self) -> None:
        """Sends the followers to the log. They stand at the old top, which must be forgotten before they look: whoever
        stands at the top believes that it is live."""
        self.top = None
        self._pending.clear()
        for follower in self.followers:
            if follower.live:
                follower.fell_behind()
