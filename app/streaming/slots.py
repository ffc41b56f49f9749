"""How many streams a user holds, counted over all web processes, at a low cost for each stream.

Each process writes its own number for a user into one hash, and keeps itself among the living with one call every
20 s, however many streams it has. The number of a process that was killed is left out of account as soon as it stands
in somebody's way and the process has been silent for a minute.

Taking a place asks Redis once. Giving one back does not wait for Redis: all numbers that have changed are written
together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.resources import files
from itertools import islice
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from app.core.aio import KeyedLock, cancel_and_wait
from app.core.errors import TooMany
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import TOP, cursor_of
from app.core.ids import new_id
from app.core.redis import keys
from app.core.redis.client import fields
from app.core.settings import Settings

logger = structlog.get_logger()

_PLACE = TOP + files("app.streaming").joinpath("lua/slot.lua").read_text()
_BEAT = files("app.streaming").joinpath("lua/beat.lua").read_text()
_BEAT_SECONDS = 20.0
_ALIVE_MS = 60_000
_LIFETIME_MS = 30 * 86_400_000
_TOGETHER = 1000
_PAUSE_SECONDS = 0.05


class StreamSlots:
    """The stream slots of all users in this process, and its share of the number over all processes."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._most = settings.max_streams_per_user
        self._process = new_id()
        self._held: dict[str, int] = {}
        self.total = 0
        self._changed: set[str] = set()
        self._change = asyncio.Event()
        # One write for each user at a time, so that the last number written is the latest.
        self._turns = KeyedLock()
        self._place = redis.register_script(_PLACE)
        self._beat = redis.register_script(_BEAT)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the numbers in Redis right within the context."""
        tasks = [asyncio.create_task(self._beat_for_ever()), asyncio.create_task(self._write_for_ever())]
        try:
            yield
        finally:
            await cancel_and_wait(*tasks)
            with suppress(RedisError, OSError):
                await self._write(set(self._changed))
                await self._redis.zrem(keys.WEBS, self._process)

    @asynccontextmanager
    async def slot(self, user: str) -> AsyncIterator[None]:
        """Hold one slot within the context. Raises TooMany (`too_many_streams`); RedisError."""
        await self.acquire(user)
        try:
            yield
        finally:
            self.release(user)

    async def acquire(self, user: str) -> Cursor | None:
        """Take a slot, until `release`. Return where the user's log ended at that moment, if Redis said so.

        Raises TooMany (`too_many_streams`); RedisError.
        """
        self.total += 1
        try:
            return await self._acquire(user)
        except BaseException:
            self.total -= 1
            raise

    def release(self, user: str) -> None:
        self.total -= 1
        self._release(user)

    async def beat(self) -> list[bytes]:
        """Record that this process is alive; return all that are."""
        known, *alive = await self._beat(keys=[keys.WEBS], args=[self._process, _ALIVE_MS])
        if not known:
            # Another process may have deleted its numbers as those of a dead one, or Redis may have lost them.
            self._changed |= self._held.keys()
        # Together with what could not be written while Redis was away.
        self._change.set()
        return list(alive)

    async def _acquire(self, user: str) -> Cursor | None:
        async with self._turns.of(user):
            held = self._held.get(user, 0)
            if held >= self._most:
                raise _too_many()
            self._held[user] = held + 1
            try:
                return await self._ask(user)
            except OutOfMemoryError:
                # Readers are let in while Redis is full; the number is written when it has room again.
                self._is_changed(user)
                return None
            except BaseException:
                # Whether Redis has counted the slot or not.
                self._release(user)
                raise

    async def _ask(self, user: str) -> Cursor:
        top, others = await self._told(user)
        if top is None and (dead := others - set(await self.beat())):
            # Some of those processes have died since.
            await self._redis.hdel(keys.streams(user), *dead)
            top, _ = await self._told(user)
        if top is None:
            raise _too_many()
        return top

    async def _told(self, user: str) -> tuple[Cursor | None, set[bytes]]:
        """Write this process' number; return the log's top, or, if there are too many, the other holders."""
        limits: list[str | int] = [self._process, self._held[user], self._most, _LIFETIME_MS]
        taken, *told = await self._place(keys=[keys.streams(user), keys.log(user), keys.user(user)], args=limits)
        return (cursor_of(told[0]), set()) if taken else (None, set(told))

    def _release(self, user: str) -> None:
        self._held[user] -= 1
        self._is_changed(user)

    def _is_changed(self, user: str) -> None:
        self._changed.add(user)
        self._change.set()

    async def _beat_for_ever(self) -> None:
        while True:
            try:
                await self.beat()
            except (RedisError, OSError) as error:
                logger.info("beat_failed", error=str(error))
            await asyncio.sleep(_BEAT_SECONDS)

    async def _write_for_ever(self) -> None:
        while True:
            await self._change.wait()
            # Streams often end together: when a server drains, when a browser is closed.
            await asyncio.sleep(_PAUSE_SECONDS)
            self._change.clear()
            try:
                while self._changed:
                    await self._write(set(islice(self._changed, _TOGETHER)))
            except (RedisError, OSError) as error:
                logger.info("places_unwritten", users=len(self._changed), error=str(error))

    async def _write(self, users: set[str]) -> None:
        """Write the numbers of these users in one round trip."""
        async with AsyncExitStack() as locks:
            for user in users:
                await locks.enter_async_context(self._turns.of(user))
            self._changed -= users
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for user in users:
                        self._set(pipe, keys.streams(user), self._held.get(user, 0))
                    await pipe.execute()
            except BaseException:
                self._changed |= users
                raise
        for user in users - self._changed:
            if self._held.get(user) == 0:
                del self._held[user]

    def _set(self, pipe: Any, key: str, held: int) -> None:
        if held:
            pipe.hset(key, mapping=fields({self._process: str(held)}))
            pipe.pexpire(key, _LIFETIME_MS)
        else:
            pipe.hdel(key, self._process)


def _too_many() -> TooMany:
    return TooMany("Stream limit reached; close some of your streams.", code="too_many_streams", retry_after=5)
