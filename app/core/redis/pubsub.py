"""Pub/sub connections that reconnect for ever: one to a single Redis, or one to each primary of a cluster.

redis-py resubscribes by itself after a cut and says nothing of what was missed. Here a cut ends the connection, and
every subscription on the next one is confirmed to the listener, which is how it learns of the gap.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError, RedisError

from app.core.aio import cancel_and_wait
from app.core.redis.client import connect, prepare
from app.core.redis.cluster import Cluster
from app.core.redis.connection import RedisConnection, connect_without_retry
from app.core.telemetry.metrics import PUBSUB_LOST

logger = structlog.get_logger()

_SILENCE_SECONDS = 10.0
_IDLE_CHANNEL = "sv:hub"


class Listener:
    """What receives messages. A subclass overrides what it needs."""

    def on_message(self, channel: bytes, message: bytes) -> None:
        """Receive a message that was published."""

    def on_subscribed(self, channel: bytes) -> None:
        """Note that a subscription holds from now on; messages before it may have been missed."""

    def on_batch_end(self) -> None:
        """Note that all messages that arrived together have been passed to `on_message`."""


class Subscriber:
    """One connection to one server, and the channels to subscribe to on it."""

    def __init__(
        self,
        name: str,
        connection: Callable[[], AbstractConnection],
        listener: Listener,
        prefix: str,
        lost: Callable[[], Awaitable[bool]],
    ) -> None:
        self.connected = asyncio.Event()
        self.channels: set[str] = set()
        self._name = name
        self._connection = connection
        self._listener = listener
        self._prefix = prefix
        self._lost = lost
        self._link: _PubSubConnection | None = None
        self._sent: set[str] = set()

    def subscribe(self, channel: str) -> None:
        """Subscribe to a channel; the listener's `on_subscribed` is called when this is confirmed."""
        self.channels.add(channel)
        if channel in self._sent:
            # This connection is subscribed already, so no confirmation will come. If the first one is still to
            # come, it is reported as well, as a gap.
            self._listener.on_subscribed(channel.encode())
        elif self._link is not None:
            self._sent.add(channel)
            self._link.send(self._prefix + "SUBSCRIBE", channel)

    def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel."""
        self.channels.discard(channel)
        if self._link is not None and channel in self._sent:
            self._sent.discard(channel)
            self._link.send(self._prefix + "UNSUBSCRIBE", channel)

    async def run(self) -> None:
        """Keep the connection up while `lost` returns true."""
        first = True
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                if self.connected.is_set():
                    PUBSUB_LOST.inc()
                if self.connected.is_set() or first:
                    logger.warning("pubsub_lost", server=self._name, error=str(error), channels=len(self.channels))
                self.connected.clear()
                first = False
            await asyncio.sleep(random.uniform(0.05, 0.5))
            if not await self._lost():
                return

    async def _listen(self) -> None:
        """Serve one connection until it is lost."""
        link = _PubSubConnection(self._listener, self.channels)
        try:
            await link.open(self._connection())
            # Subscribed to a channel that nobody publishes on: a connection without any would be in command mode.
            link.send("SUBSCRIBE", _IDLE_CHANNEL)
            self._sent = set(self.channels)
            # On a cluster all channels of one command must be of one slot.
            for channels in [[one] for one in self._sent] if self._prefix else [list(self._sent)]:
                if channels:
                    link.send(self._prefix + "SUBSCRIBE", *channels)
            self._link = link
            self.connected.set()
            logger.info("pubsub_connected", server=self._name, channels=len(self.channels))
            await self._watch(link)
        finally:
            self._link, self._sent = None, set()
            link.close()

    async def _watch(self, link: _PubSubConnection) -> None:
        """Raise ConnectionError when the connection is lost, or does not answer a ping."""
        asked = False
        while True:
            link.heard = False
            await asyncio.wait([link.closed], timeout=_SILENCE_SECONDS)
            if link.error is not None:
                raise link.error
            if link.heard:
                asked = False
            elif asked:
                raise ConnectionError("no answer on the pub/sub connection")
            else:
                asked = True
                link.send("PING")


class _PubSubConnection(RedisConnection):
    """A connection in pub/sub mode."""

    def __init__(self, listener: Listener, wanted: Collection[str]) -> None:
        super().__init__()
        self.heard = False
        self._listener = listener
        self._wanted = wanted

    def on_reply(self, reply: Any) -> None:
        self.heard = True
        if isinstance(reply, RedisError):
            self.fail(reply)
        if not isinstance(reply, list):
            return
        kind, channel = reply[0], reply[1]
        if kind in (b"message", b"smessage"):
            self._listener.on_message(channel, reply[2])
        elif kind in (b"subscribe", b"ssubscribe"):
            self._listener.on_subscribed(channel)
        elif kind == b"sunsubscribe" and channel.decode() in self._wanted:
            self.fail(ConnectionError("a channel has moved to another server"))

    def on_batch_end(self) -> None:
        self._listener.on_batch_end()


class Subscriptions:
    """All subscriptions of a process, each on the server that its channel belongs to.

    The client is its own: getting to know a cluster anew would disturb those who share it.
    """

    def __init__(self, url: str, listener: Listener) -> None:
        self._redis: Redis | Cluster = connect(url)
        self._listener = listener
        self._subscribers: dict[str, Subscriber] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._only: Subscriber | None = None  # where there is only one server

    def subscribe(self, channel: str) -> None:
        self._of(channel).subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        """Unsubscribe from a channel."""
        for subscriber in self._subscribers.values():
            if channel in subscriber.channels:
                subscriber.unsubscribe(channel)

    def is_connected(self, channel: str) -> bool:
        """Return whether the server of `channel` is connected."""
        return self._of(channel).connected.is_set()

    async def connected(self, channel: str) -> None:
        """Wait until the server of `channel` is connected."""
        await self._of(channel).connected.wait()

    async def start(self) -> None:
        """Connect to a single server; of a cluster, find out which servers there are."""
        await prepare(self._redis)
        if isinstance(self._redis, Redis):
            self._of("")

    async def stop(self) -> None:
        await cancel_and_wait(*self._tasks.values())
        await self._redis.aclose()

    def _of(self, channel: str) -> Subscriber:
        if self._only is not None:
            return self._only
        name, connection = self._server(channel)
        if name not in self._subscribers:
            prefix = "s" if isinstance(self._redis, Cluster) else ""
            subscriber = Subscriber(name, connection, self._listener, prefix, lambda: self._reroute(name))
            self._subscribers[name] = subscriber
            self._tasks[name] = asyncio.create_task(subscriber.run())
            if prefix == "":
                self._only = subscriber
        return self._subscribers[name]

    def _server(self, channel: str) -> tuple[str, Callable[[], AbstractConnection]]:
        if not isinstance(self._redis, Cluster):
            pool = self._redis.connection_pool
            return "redis", lambda: connect_without_retry(pool.connection_class, pool.connection_kwargs)
        node = self._redis.get_node_from_key(channel)
        if node is None:
            raise ConnectionError(f"no server holds {channel}")
        return node.name, lambda: connect_without_retry(node.connection_class, node.connection_kwargs)

    async def _reroute(self, lost: str) -> bool:
        """After the loss of a server, subscribe to channels that have moved where they are now.

        Whether the server that was lost still is one of those that channels are on.
        """
        if not isinstance(self._redis, Cluster):
            return True
        with suppress(RedisError, OSError):
            await self._redis.look_about()
            for subscriber in list(self._subscribers.values()):
                for channel in list(subscriber.channels):
                    if self._of(channel) is not subscriber:
                        subscriber.unsubscribe(channel)
                        self._of(channel).subscribe(channel)
            if not self._redis.holds(lost) and not self._subscribers[lost].channels:
                del self._subscribers[lost], self._tasks[lost]
                return False
        return True
