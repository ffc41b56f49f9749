"""The latest events of one user in a web process, and their delivery to streams and waiting readers."""

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
    """A stream. While it is `live`, its cursor is the top of its feed, and new events are written to it at once."""

    live: bool

    def follow(self, chunks: Sequence[EventChunk], now: float) -> None:
        """Take the events after its cursor up to the new top, or stop being `live`; `now` is the loop's time."""

    def fell_behind(self) -> None:
        """Stop being live, and catch up from the log."""

    def on_timer(self) -> None:
        """Check what else there is to do, such as a heartbeat."""


class FeedVersion(NamedTuple):
    """How often a feed had changed, and the latest event that it had seen, at some moment."""

    changes: int
    last_seen: Cursor | None


class Feed:
    """The latest events of one user in this process, and the readers that wait for more."""

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
        """Return a future that is done when the subscription is confirmed; one for each caller."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return waiter

    def confirm(self) -> None:
        """Note that the subscription is confirmed."""
        self.confirmed = True
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def push(self, id: Cursor, entry: LogEntry) -> None:
        """Take the next event, to be delivered by `deliver`. An event that does not follow the last one empties the
        ring."""
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
        """Deliver what was pushed: write it to the live streams, and wake the readers that wait."""
        entries, self._pending = self._pending, []
        if entries and self.followers and self.top is not None:
            chunks, now = chunks_of(entries, self.top), asyncio.get_running_loop().time()
            for follower in self.followers:
                if follower.live:
                    follower.follow(chunks, now)
            LAGS.written(entries)
        self.wake()

    def drop(self) -> None:
        """Empty the ring, so that every reader reads the log."""
        self.changes += 1
        self.ring.clear()
        self._leave_behind()
        self.wake()

    def sync_to(self, top: Cursor) -> None:
        """Note that the log was read and ends at `top`: from here on pushed events continue it.

        The ring ends there too, or is emptied. Of two cursors before a log's first event neither is behind the other.
        """
        if self.ring and self.ring[-1].id != top:
            self.ring.clear()
        if self.top != top and not (self.top is not None and self.top.seq == top.seq == 0):
            self._leave_behind()
        self.top = self.last_seen = top

    def refill(self, entries: Sequence[LogEntry]) -> None:
        """Keep what was read of the log to its end for other readers; for a single reader nothing is kept."""
        last = entries[-1].id
        if not self.ring and self.top in (None, last):
            if self.readers > 1:
                self.ring.extend(entries)
            self.sync_to(last)

    def after(self, cursor: Cursor) -> list[LogEntry] | None:
        """Return the entries past the cursor, or None if only the log has them.

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
        """End every waiting read without entries."""
        self.interruptions += 1
        for follower in list(self.followers):
            follower.on_timer()
        self.wake()

    def wake(self) -> None:
        """Wake the readers that wait."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        self._wake = None

    async def wait(self, timeout: float) -> None:
        """Wait until woken, or for `timeout` seconds."""
        if self._wake is None:
            self._wake = asyncio.get_running_loop().create_future()
        await done_within(self._wake, timeout)

    def _leave_behind(self) -> None:
        """Send the live streams to the log. The top is cleared first: a stream whose cursor is the top takes itself for
        live."""
        self.top = None
        self._pending.clear()
        for follower in self.followers:
            if follower.live:
                follower.fell_behind()
