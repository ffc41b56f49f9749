"""Pub/sub connections that are made anew for ever: one to a single Redis, one to each primary of a cluster.

redis-py resubscribes by itself after a cut and says nothing of what was missed. Here a cut ends the connection, and
every subscription on the next one is confirmed to the listener, which is how it learns of the gap.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

import structlog
from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.core.redis import connect, prepare
from app.core.tasks import end

logger = structlog.get_logger()

_SILENCE_SECONDS = 10.0
_IDLE_CHANNEL = "sv:hub"


class Listener(Protocol):
    """Who is told."""

    def heard(self, channel: bytes, message: bytes) -> None:
        """Something was published."""

    def confirmed(self, channel: bytes) -> None:
        """A subscription holds from now on; what was published before may have been missed."""


class Subscriber:
    """One connection to one server, and the channels that are wanted on it."""

    def __init__(
        self,
        name: str,
        pool: Callable[[], ConnectionPool],
        listener: Listener,
        prefix: str,
        lost: Callable[[], Awaitable[None]],
    ) -> None:
        self.connected = asyncio.Event()
        self.channels: set[str] = set()
        self._name = name
        self._pool = pool
        self._listener = listener
        self._prefix = prefix
        self._lost = lost
        self._pubsub: PubSub | None = None
        self._sent: set[str] = set()
        self._lock = asyncio.Lock()

    async def subscribe(self, channel: str) -> None:
        """Wants a channel from now on; the listener hears when it is confirmed."""
        self.channels.add(channel)
        if channel in self._sent:
            # Asked for on this connection already, so no answer will come. If the first one is still to come, it
            # will be told as well, as a gap.
            self._listener.confirmed(channel.encode())
        await self._reconcile(channel)

    def unsubscribe(self, channel: str) -> Awaitable[None]:
        """Does not want it from this moment on; to be awaited for the server to hear of it."""
        self.channels.discard(channel)
        return self._reconcile(channel)

    async def run(self) -> None:
        """Keeps the connection up, for ever."""
        first = True
        while True:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                if self.connected.is_set() or first:
                    logger.warning("pubsub_lost", server=self._name, error=str(error), channels=len(self.channels))
                self.connected.clear()
                first = False
            await asyncio.sleep(random.uniform(0.05, 0.5))
            await self._lost()

    async def _reconcile(self, channel: str) -> None:
        """Makes the server's side what is wanted by now; so it does not matter in which order this is called."""
        async with self._lock:
            wanted, sent = channel in self.channels, channel in self._sent
            if self._pubsub is None or wanted == sent:
                return
            (self._sent.add if wanted else self._sent.discard)(channel)
            verb = self._prefix + ("subscribe" if wanted else "unsubscribe")
            # What cannot be sent is made good by the next connection. While the listener loses this one, redis-py's
            # connection has no writer for a moment (AttributeError), and uvloop's transport is closed (RuntimeError).
            with suppress(RedisError, OSError, AttributeError, RuntimeError):
                await getattr(self._pubsub, verb)(channel)

    async def _listen(self) -> None:
        """One connection's life."""
        pool = self._pool()
        pubsub = Redis(connection_pool=pool).pubsub()
        try:
            async with self._lock:
                # A connection is idle only where it has a channel, so it gets one of its own that nobody publishes on.
                await pubsub.subscribe(_IDLE_CHANNEL)
                self._sent = set(self.channels)
                # On a cluster one command may name channels of one slot only.
                for channels in [[one] for one in self._sent] if self._prefix else [list(self._sent)]:
                    if channels:
                        await getattr(pubsub, self._prefix + "subscribe")(*channels)
                self._pubsub = pubsub
            self.connected.set()
            logger.info("pubsub_connected", server=self._name, channels=len(self.channels))
            await self._take_all(pubsub)
        finally:
            async with self._lock:
                self._pubsub = None
            await pubsub.aclose()  # type: ignore[no-untyped-call] # redis-py's is untyped
            await pool.disconnect()

    async def _take_all(self, pubsub: PubSub) -> None:
        asked = False
        while True:
            message = await pubsub.parse_response(block=False, timeout=_SILENCE_SECONDS)
            if message is not None:
                asked = False
                self._take(message)
            elif asked:
                raise ConnectionError("no answer on the pub/sub connection")
            else:
                asked = True
                await pubsub.ping()

    def _take(self, message: Any) -> None:
        kind, channel, *rest = message
        if kind in (b"message", b"smessage"):
            self._listener.heard(channel, rest[0])
        elif kind in (b"subscribe", b"ssubscribe"):
            self._listener.confirmed(channel)
        elif kind == b"sunsubscribe" and channel.decode() in self.channels:
            raise ConnectionError("a channel has moved to another server")


class Subscriptions:
    """All channels of a process, each on the server that it belongs to.

    The client is its own: getting to know a cluster anew would disturb those who share it.
    """

    def __init__(self, url: str, listener: Listener) -> None:
        self._redis: Redis | RedisCluster = connect(url)
        self._listener = listener
        self._subscribers: dict[str, Subscriber] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def subscribe(self, channel: str) -> None:
        await self._of(channel).subscribe(channel)

    def unsubscribe(self, channel: str) -> Awaitable[object]:
        """Does not want it from this moment on; to be awaited for the server to hear of it."""
        holders = [subscriber for subscriber in self._subscribers.values() if channel in subscriber.channels]
        return asyncio.gather(*(subscriber.unsubscribe(channel) for subscriber in holders))

    async def connected(self, channel: str) -> None:
        """Returns when the server of `channel` is connected."""
        await self._of(channel).connected.wait()

    async def start(self) -> None:
        """A single server is connected before anybody wants anything of it; a cluster is got to know."""
        await prepare(self._redis)
        if isinstance(self._redis, Redis):
            self._of("")

    async def stop(self) -> None:
        await end(*self._tasks.values())
        await self._redis.aclose()

    def _of(self, channel: str) -> Subscriber:
        name, pool = self._server(channel)
        if name not in self._subscribers:
            prefix = "s" if isinstance(self._redis, RedisCluster) else ""
            subscriber = Subscriber(name, pool, self._listener, prefix, self._reroute)
            self._subscribers[name] = subscriber
            self._tasks[name] = asyncio.create_task(subscriber.run())
        return self._subscribers[name]

    def _server(self, channel: str) -> tuple[str, Callable[[], ConnectionPool]]:
        if not isinstance(self._redis, RedisCluster):
            pool = self._redis.connection_pool
            return "redis", lambda: _single(pool.connection_class, pool.connection_kwargs)
        node = self._redis.get_node_from_key(channel)
        if node is None:
            raise ConnectionError(f"no server holds {channel}")
        return node.name, lambda: _single(node.connection_class, node.connection_kwargs)

    async def _reroute(self) -> None:
        """After a server was lost: channels that have moved are wanted where they are now."""
        if not isinstance(self._redis, RedisCluster):
            return
        with suppress(RedisError, OSError):
            await self._redis.nodes_manager.initialize()
            for subscriber in list(self._subscribers.values()):
                for channel in list(subscriber.channels):
                    if self._of(channel) is not subscriber:
                        await subscriber.unsubscribe(channel)
                        await self._of(channel).subscribe(channel)


def _single(connection_class: Any, options: dict[str, Any]) -> ConnectionPool:
    """A pool for one connection that does not retry: every cut must be seen."""
    return ConnectionPool(
        connection_class=connection_class, max_connections=1, **{**options, "retry": Retry(NoBackoff(), 0)}
    )
