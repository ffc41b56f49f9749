"""Readers of one user: the entries past a cursor, from the ring of the latest events or else from the log."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import structlog
from redis.exceptions import RedisError

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import EventLog, LogEntry
from app.core.settings import Settings
from app.core.telemetry.metrics import COUNTS
from app.streaming.feed import Feed, FeedVersion, Follower

logger = structlog.get_logger()


class Gone(Exception):
    """The entries after the cursor are no longer in the log: the reader needs a snapshot and its cursor."""


class Reader:
    """All readers of one user. SSE and long poll both read entries after a cursor here."""

    def __init__(self, user: str, feed: Feed, log: EventLog, settings: Settings, pages: asyncio.Semaphore) -> None:
        self.user = user
        self.feed = feed
        self._pages = pages
        self._log = log
        self._settings = settings

    def attach(self, follower: Follower) -> None:
        """Send `follower` the user's events as they come, while it is live."""
        self.feed.followers.add(follower)

    def detach(self, follower: Follower) -> None:
        """Send `follower` nothing more."""
        self.feed.followers.discard(follower)

    def is_current(self, cursor: Cursor) -> bool:
        """Whether nothing lies past `cursor`, as far as this process knows."""
        return cursor == self.feed.top

    async def read(self, after: Cursor, wait: float) -> list[LogEntry]:
        """Entries past `after`, oldest first, as soon as there are any; an empty list when `wait` seconds are over
        or the wait is interrupted.

        Of a long backlog only the latest progress of each job is returned. Raises Gone.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        interruptions = self.feed.interruptions
        while True:
            changes = self.feed.changes
            entries = self.feed.after(after)
            if entries is None:
                entries = await self._catch_up(after, deadline)
            left = deadline - loop.time()
            if entries or left <= 0 or self.feed.interruptions != interruptions:
                return entries
            # An event that came while the log was read woke nobody, and may not have been in the log yet.
            if self.feed.changes == changes:
                await self.feed.wait(left)

    async def page(self, after: Cursor) -> list[LogEntry]:
        """Entries past `after` from the ring, or as many as a page holds from the log; none where it is the top, which
        is then the feed's. Of a long backlog only the latest progress of each job. Raises Gone; RedisError.
        """
        entries = self.feed.after(after)
        if entries is not None:
            return entries
        async with self._pages:
            # Another reader with the same cursor may have read it meanwhile.
            entries = self.feed.after(after)
            return entries if entries is not None else await self._read(after)

    @property
    def known(self) -> FeedVersion:
        """The feed's version, to be taken before the log is read."""
        return FeedVersion(self.feed.changes, self.feed.last_seen)

    async def top(self) -> Cursor:
        """Return the cursor of the latest event. Raises RedisError."""
        if self.feed.top is not None:
            return self.feed.top
        known = self.known
        return await self.read_top(await self._log.top(self.user), known)

    async def read_top(self, top: Cursor, known: FeedVersion) -> Cursor:
        """Return the same if the log was found to end at `top` after the feed was at version `known`."""
        if self.feed.top is not None:
            return self.feed.top
        await self._compare(top, known.last_seen)
        if self.feed.changes == known.changes:
            self.feed.sync_to(top)
        return top

    async def _catch_up(self, after: Cursor, deadline: float) -> list[LogEntry]:
        """Read from the log; while Redis is away, try again until `deadline`."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self.page(after)
            except (RedisError, OSError):
                pause = random.uniform(0.1, 1.0)
                if loop.time() + pause >= deadline:
                    await asyncio.sleep(max(0.0, deadline - loop.time()))
                    return []
                await asyncio.sleep(pause)

    async def _read(self, after: Cursor) -> list[LogEntry]:
        feed, known = self.feed, self.known
        page = await self._log.read(self.user, after, self._settings.page_length)
        if page.top is not None:
            await self._compare(page.top, known.last_seen)
        if not page.whole:
            raise Gone
        if feed.changes == known.changes:
            if not page.entries:
                # Nothing is past the cursor, so the cursor is the top: pushed events continue it.
                feed.sync_to(after)
            elif page.top is not None and page.top == page.entries[-1].id:
                feed.refill(page.entries)
        return _counted(page.entries, thin=len(page.entries) > self._settings.conflate_over)

    async def _compare(self, top: Cursor, told: Cursor | None) -> None:
        """Notice a log that ends before an event that was seen: it lost its end, as after a crash of its server."""
        if told is None or top.epoch != told.epoch or top.seq >= told.seq:
            return
        logger.warning("log_fell_back", user=self.user, told=str(told), log=str(top))
        await self._log.fallen_back(self.user, told)
        if self.feed.last_seen == told:
            self.feed.last_seen = top


def _counted(entries: list[LogEntry], *, thin: bool) -> list[LogEntry]:
    """Count what was read from the log, conflated if asked for."""
    kept = thinned(entries) if thin else entries
    COUNTS.replayed += len(kept)
    COUNTS.conflated += len(entries) - len(kept)
    return kept


def thinned(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """Return the entries without progress within a stage that later progress of the same job replaces."""
    kept: list[LogEntry] = []
    overtaken: set[str] = set()
    for entry in reversed(list(entries)):
        if entry.thin and entry.job in overtaken:
            continue
        if entry.type.endswith(":progress"):
            overtaken.add(entry.job)
        kept.append(entry)
    kept.reverse()
    return kept
