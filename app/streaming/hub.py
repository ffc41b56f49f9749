"""The hub: one subscriber for all readers of this process. A reader is a cursor, not a queue (`app.streaming.reader`).

Flows, one per ending:

- *live*: a push extends the user's ring. To a stream that has caught up it is written there and then, without a task or
  a queue, or within 40 ms where very many come; who waits is woken and takes from the ring what lies past its cursor.
- *catch-up*: what the ring does not hold is read from the log, page by page; a long backlog is thinned.
- *gap*: a push that does not follow the last one, a connection made anew, or a log whose top is not the ring's drop
  the ring; readers then read the log from their cursors.
- *reset*: the log itself no longer holds what follows a cursor; the reader is told so and gets a new cursor.
- *Redis away*: readers keep their cursors and wait; connections are made anew for ever (`app.core.redis.pubsub`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from redis.exceptions import RedisError

from app.core.aio import SharedTimeout, cancel_and_wait
from app.core.errors import Unavailable
from app.core.eventlog.log import EventLog, LogEntry
from app.core.redis import keys
from app.core.redis.pubsub import Listener, Subscriptions
from app.core.settings import Settings
from app.core.telemetry.metrics import COUNTS, LAGS
from app.streaming.feed import Feed
from app.streaming.reader import Reader

logger = structlog.get_logger()

_CONNECT_SECONDS = 2.0
_CONFIRM_SECONDS = 10.0
# Pages of the log in memory at once, however many readers fall behind: enough to keep Redis busy.
_PAGES_AT_ONCE = 16
# After a batch was written, the next waits this many times as long as the writing took, at most so many seconds. With
# few events that is no time at all; with more than could be written one by one, they are joined.
_REST = 3
_MAX_REST_SECONDS = 0.04


class Hub(Listener):
    """The feeds of all users with a reader in this process."""

    def __init__(self, log: EventLog, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._subscriptions = Subscriptions(settings.redis, self)
        self._pages = asyncio.Semaphore(_PAGES_AT_ONCE)
        self._confirmations = SharedTimeout(_CONFIRM_SECONDS)
        self._readers: dict[str, Reader] = {}
        self._by_channel: dict[bytes, Feed] = {}
        self._heard: list[tuple[Feed, bytes]] = []
        self._rests_until = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._listeners: dict[bytes, Listener] = {}

    def listen(self, channel: str, listener: Listener) -> None:
        """Receive a channel that is no user's on the same connections. Call this before `running`."""
        self._listeners[channel.encode()] = listener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the connections up, and the rings checked, within the context."""
        await self._subscriptions.start()
        works = [self._check_for_ever(), *(self._listen_to(channel.decode()) for channel in self._listeners)]
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            await cancel_and_wait(*tasks)
            await self._subscriptions.stop()
            self._deliver()

    @asynccontextmanager
    async def reader(self, user: str) -> AsyncIterator[Reader]:
        """Enter a reader, and leave it with the context."""
        reader = await self.enter(user)
        try:
            yield reader
        finally:
            self.leave(reader)

    async def enter(self, user: str) -> Reader:
        """Add a reader of a user's log, until `leave`. Raises Unavailable if Redis does not confirm the subscription in
        time."""
        reader = self._readers.get(user) or self._open(user)
        reader.feed.readers += 1
        try:
            channel = keys.channel(user)
            if not self._subscriptions.is_connected(channel):
                await self._connection(channel)
            if not reader.feed.confirmed:
                await self._confirmation(channel, reader.feed)
        except (RedisError, OSError):
            self.leave(reader)
            raise Unavailable(
                "Live events are not available just now.", code="redis_unavailable", retry_after=2
            ) from None
        except BaseException:
            self.leave(reader)
            raise
        return reader

    def leave(self, reader: Reader) -> None:
        reader.feed.readers -= 1
        if reader.feed.readers == 0:
            # The feed is gone from here on: a reader that comes now opens another.
            channel = keys.channel(reader.user)
            del self._readers[reader.user]
            del self._by_channel[channel.encode()]
            self._subscriptions.unsubscribe(channel)

    @property
    def readers(self) -> int:
        """Return the number of readers in this process."""
        return sum(reader.feed.readers for reader in self._readers.values())

    def interrupt(self) -> None:
        """End every waiting read, so that its reader checks its state."""
        for reader in list(self._readers.values()):
            reader.feed.interrupt()

    def interrupt_user(self, user: str) -> None:
        """End the waiting reads of one user."""
        if reader := self._readers.get(user):
            reader.feed.interrupt()

    def readers_of(self, user: str) -> int:
        """Return the number of readers of one user in this process."""
        return reader.feed.readers if (reader := self._readers.get(user)) else 0

    def on_message(self, channel: bytes, message: bytes) -> None:
        if feed := self._by_channel.get(channel):
            self._heard.append((feed, message))
        elif listener := self._listeners.get(channel):
            listener.on_message(channel, message)

    def on_batch_end(self) -> None:
        """Deliver what came in one read of the socket in one write for each reader; under high load, what came within
        some milliseconds."""
        if not self._heard or self._due is not None:
            return
        rest = self._rests_until - time.perf_counter()
        if rest <= 0:
            self._deliver()
        else:
            self._due = asyncio.get_running_loop().call_later(rest, self._deliver)

    def on_subscribed(self, channel: bytes) -> None:
        self._deliver()
        if feed := self._by_channel.get(channel):
            # Events that were pushed before this may have been missed.
            feed.drop()
            feed.confirm()
        elif listener := self._listeners.get(channel):
            listener.on_subscribed(channel)

    def _deliver(self) -> None:
        """Apply the buffered messages atomically: all feeds take them, then all deliver them."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if not self._heard:
            return
        heard, self._heard = self._heard, []
        changed = set()
        for feed, message in heard:
            try:
                id, entry = LogEntry.from_push(message)
            except ValueError:
                # Not a message of ours. An event would be in the log; this must not delay those that came with it.
                logger.warning("push_not_understood")
                feed.drop()
                continue
            COUNTS.heard += 1
            LAGS.heard(entry)
            feed.push(id, entry)
            changed.add(feed)
        began = time.perf_counter()
        for feed in changed:
            feed.deliver()
        ended = time.perf_counter()
        self._rests_until = ended + min(_REST * (ended - began), _MAX_REST_SECONDS)

    async def _listen_to(self, channel: str) -> None:
        """Subscribe. A single server need not be up yet; a cluster must be known to find a channel's server."""
        while True:
            try:
                self._subscriptions.subscribe(channel)
                return
            except (RedisError, OSError):
                await asyncio.sleep(random.uniform(0.1, 1.0))

    def _open(self, user: str) -> Reader:
        feed = self._by_channel[keys.channel(user).encode()] = Feed(self._settings.ring_length)
        reader = self._readers[user] = Reader(user, feed, self._log, self._settings, self._pages)
        return reader

    async def _connection(self, channel: str) -> None:
        """Wait for a connection that is being restored; while Redis is away nobody is let in. Raises TimeoutError."""
        async with asyncio.timeout(_CONNECT_SECONDS):
            await self._subscriptions.connected(channel)

    async def _confirmation(self, channel: str, feed: Feed) -> None:
        """Wait for the confirmation of a subscription. Raises TimeoutError."""
        waiter = feed.confirmation()
        self._subscriptions.subscribe(channel)
        await self._confirmations.wait(waiter)

    async def _check_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.check_seconds * random.uniform(0.9, 1.1))
            try:
                await self.check()
            except (RedisError, OSError) as error:
                logger.info("check_failed", error=str(error))

    async def check(self) -> None:
        """Compare every ring with its log in one round trip; where they differ, readers read the log."""
        known = {
            user: (reader.feed, reader.feed.top)
            for user, reader in self._readers.items()
            if reader.feed.top is not None
        }
        tops = await self._log.tops(list(known))
        self._deliver()
        for (user, (feed, before)), top in zip(known.items(), tops, strict=True):
            # An event may be on its way: a difference counts only if the ring did not change meanwhile.
            ahead = feed.top == before and top is not None and top > before
            behind = before.seq > 0 if top is None else top < before
            if ahead or behind:
                logger.warning("ring_differs", user=user, ring=str(before), log=str(top))
                feed.drop()
