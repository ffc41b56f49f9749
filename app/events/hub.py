"""The hub: pub/sub once for all readers of this process; a reader is a cursor, never a queue.

Flows, one per ending:

- *live*: a push extends the user's ring and wakes who waits; each takes from the ring what lies past its cursor.
- *catch-up*: what the ring does not hold is read from the log, page by page; a long backlog is thinned.
- *gap*: a push that does not follow the last one, a connection made anew, or a log whose top is not the ring's drop
  the ring; readers then read the log from their cursors.
- *reset*: the log itself no longer holds what follows a cursor; the reader is told so and gets a new cursor.
- *Redis away*: readers keep their cursors and wait; connections are made anew for ever (`app.events.subscriber`).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from itertools import islice

import structlog
from redis.exceptions import RedisClusterException, RedisError

from app.core import keys
from app.core.cursor import Cursor
from app.core.errors import Unavailable
from app.core.eventlog import Entry, EventLog
from app.core.settings import Settings
from app.core.tasks import end
from app.events.subscriber import Listener, Subscriptions

logger = structlog.get_logger()

_CONFIRM_SECONDS = 2.0
# However many readers fall behind at once, so many pages of the log are in memory; more would make all of them slower.
_PAGES_AT_ONCE = 2


class Gone(Exception):
    """What follows the cursor is no longer in the log: the reader needs a snapshot and the cursor that goes with it."""


class Feed:
    """One user's latest events in this process, and whoever waits for more."""

    def __init__(self, length: int) -> None:
        self.readers = 0
        self.confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.top: Cursor | None = None
        self.told: Cursor | None = None
        self.ring: deque[Entry] = deque(maxlen=length)
        self.interruptions = 0
        self.changes = 0
        self._wake: asyncio.Future[None] | None = None

    def push(self, entry: Entry) -> None:
        """Takes the next event; one that does not follow the last drops what was held."""
        self.changes += 1
        if self.top is not None and self.top.seq and entry.id <= self.top:
            return
        if self.ring and not self.ring[-1].id.precedes(entry.id):
            self.ring.clear()
        self.ring.append(entry)
        self.top = self.told = entry.id
        self.wake()

    def drop(self) -> None:
        """Forgets what is held, so that every reader asks the log."""
        self.changes += 1
        self.ring.clear()
        self.top = None
        self.wake()

    def after(self, cursor: Cursor) -> list[Entry] | None:
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
        await asyncio.wait([self._wake], timeout=timeout)


class Reader:
    """One reader's place: `read` after it, wait at most so long. SSE and long poll are both this."""

    def __init__(self, user: str, feed: Feed, log: EventLog, settings: Settings, pages: asyncio.Semaphore) -> None:
        self._pages = pages
        self._user = user
        self._feed = feed
        self._log = log
        self._settings = settings

    async def read(self, after: Cursor, wait: float) -> list[Entry]:
        """Entries past `after`, oldest first, as soon as there are any; an empty list when `wait` seconds are over
        or the wait is interrupted.

        Of a long backlog only the latest progress of each job is returned. Raises Gone.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        interruptions = self._feed.interruptions
        while True:
            entries = self._feed.after(after)
            if entries is None:
                entries = await self._catch_up(after, deadline)
            left = deadline - loop.time()
            if entries or left <= 0 or self._feed.interruptions != interruptions:
                return entries
            await self._feed.wait(left)

    async def _catch_up(self, after: Cursor, deadline: float) -> list[Entry]:
        """From the log. While Redis is away it is tried again until `deadline`."""
        loop = asyncio.get_running_loop()
        while True:
            changes, told = self._feed.changes, self._feed.told
            try:
                async with self._pages:
                    page = await self._log.read(self._user, after, self._settings.page_length)
                await self._compare(page.top, told)
                break
            except (RedisError, OSError):
                pause = random.uniform(0.1, 1.0)
                if loop.time() + pause >= deadline:
                    await asyncio.sleep(max(0.0, deadline - loop.time()))
                    return []
                await asyncio.sleep(pause)
        if not page.whole:
            raise Gone
        if not page.entries and self._feed.changes == changes:
            # Nothing is past the cursor, so the cursor is the top: from here on pushes tell.
            self._feed.top = self._feed.told = after
        return thinned(page.entries) if len(page.entries) > self._settings.conflate_over else page.entries

    async def _compare(self, top: Cursor, told: Cursor | None) -> None:
        """A log that ends before what was told of it has lost its end, as that of a server that crashed may."""
        if told is None or top.epoch != told.epoch or top.seq >= told.seq:
            return
        logger.warning("log_fell_back", user=self._user, told=str(told), log=str(top))
        await self._log.fallen_back(self._user, told)
        if self._feed.told == told:
            self._feed.told = top


class Hub:
    """Feeds of all users with a reader in this process."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._subscriptions = Subscriptions(settings.redis, self)
        self._pages = asyncio.Semaphore(_PAGES_AT_ONCE)
        self._feeds: dict[str, Feed] = {}
        self._by_channel: dict[bytes, Feed] = {}
        self._listeners: dict[bytes, Listener] = {}

    def listen(self, channel: str, listener: Listener) -> None:
        """Has a channel that is no user's heard on the same connections; to be called before `running`."""
        self._listeners[channel.encode()] = listener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keeps the connections up and the rings checked while the context is open."""
        await self._subscriptions.start()
        works = [self._check_for_ever(), *(self._listen_to(channel.decode()) for channel in self._listeners)]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            await end(*tasks)
            await self._subscriptions.stop()

    @asynccontextmanager
    async def reader(self, user: str) -> AsyncIterator[Reader]:
        """A reader of one user's log. Raises Unavailable where Redis does not confirm the subscription in time."""
        feed = self._feeds.get(user) or self._open(user)
        feed.readers += 1
        try:
            await self._confirmation(user, feed)
            yield Reader(user, feed, self._log, self._settings, self._pages)
        finally:
            feed.readers -= 1
            if feed.readers == 0:
                await asyncio.shield(self._close(user))

    @property
    def readers(self) -> int:
        """Readers in this process."""
        return sum(feed.readers for feed in self._feeds.values())

    def interrupt(self) -> None:
        """Ends every read that waits, so that its reader looks about."""
        for feed in self._feeds.values():
            feed.interrupt()

    def interrupt_user(self, user: str) -> None:
        """The same for one user's reads."""
        if feed := self._feeds.get(user):
            feed.interrupt()

    def readers_of(self, user: str) -> int:
        """Readers that one user has in this process."""
        return feed.readers if (feed := self._feeds.get(user)) else 0

    def heard(self, channel: bytes, message: bytes) -> None:
        if feed := self._by_channel.get(channel):
            feed.push(Entry.from_push(message))
        elif listener := self._listeners.get(channel):
            listener.heard(channel, message)

    def confirmed(self, channel: bytes) -> None:
        if feed := self._by_channel.get(channel):
            # What was pushed before this moment may have been missed.
            feed.drop()
            if not feed.confirmed.done():
                feed.confirmed.set_result(None)
        elif listener := self._listeners.get(channel):
            listener.confirmed(channel)

    async def _listen_to(self, channel: str) -> None:
        """A single server need not be there yet; a cluster must be known before one can tell where a channel is."""
        while True:
            try:
                await self._subscriptions.subscribe(channel)
                return
            except (RedisError, RedisClusterException, OSError):
                await asyncio.sleep(random.uniform(0.1, 1.0))

    def _open(self, user: str) -> Feed:
        feed = self._feeds[user] = Feed(self._settings.ring_length)
        self._by_channel[keys.channel(user).encode()] = feed
        return feed

    def _close(self, user: str) -> Awaitable[object]:
        """The feed is gone from this moment on: whoever comes in now opens another."""
        del self._feeds[user]
        del self._by_channel[keys.channel(user).encode()]
        return self._subscriptions.unsubscribe(keys.channel(user))

    async def _confirmation(self, user: str, feed: Feed) -> None:
        """A cut that is mended at once is waited for; while Redis is away nobody new is let in."""
        try:
            async with asyncio.timeout(_CONFIRM_SECONDS):
                await self._subscriptions.connected(keys.channel(user))
                if not feed.confirmed.done():
                    await self._subscriptions.subscribe(keys.channel(user))
                    await asyncio.wait([feed.confirmed])
        except (TimeoutError, RedisError, OSError):
            raise Unavailable(
                "Live events are not available just now.", code="redis_unavailable", retry_after=2
            ) from None

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.check_seconds * random.uniform(0.9, 1.1))
            try:
                await self.check()
            except (RedisError, OSError) as error:
                logger.info("check_failed", error=str(error))

    async def check(self) -> None:
        """Compares every ring with its log in one round trip; where they differ, readers read the log."""
        known = {user: (feed, feed.top) for user, feed in self._feeds.items() if feed.top is not None}
        tops = await self._log.tops(list(known))
        for (user, (feed, before)), top in zip(known.items(), tops, strict=True):
            # A push that is still on its way is no difference: it counts only if the ring has stood still.
            ahead = feed.top == before and top is not None and top > before
            behind = before.seq > 0 if top is None else top < before
            if ahead or behind:
                logger.warning("ring_differs", user=user, ring=str(before), log=str(top))
                feed.drop()


def thinned(entries: Iterable[Entry]) -> list[Entry]:
    """The entries without progress within a stage that later progress of the same job overtakes."""
    kept: list[Entry] = []
    overtaken: set[str] = set()
    for entry in reversed(list(entries)):
        if entry.thin and entry.job in overtaken:
            continue
        if entry.type.endswith(":progress"):
            overtaken.add(entry.job)
        kept.append(entry)
    kept.reverse()
    return kept
