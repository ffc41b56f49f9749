"""Whether what SmartVoice depends on can be used: found out once for all who ask at about the same time.

Anybody may ask, and to find out writes into the storage, which can cost money.
"""

from __future__ import annotations

import time

from redis.asyncio import Redis

from app.core.aio import SharedCall
from app.core.redis import keys
from app.core.storage.object_store import Storage

_FRESH_SECONDS = 0.5


class Readiness:
    """Of one Redis and one storage."""

    def __init__(self, redis: Redis, storage: Storage) -> None:
        self._redis = redis
        self._storage = storage
        self._checked = -_FRESH_SECONDS
        self._look = SharedCall(self._check)

    async def check(self) -> None:
        """Raises RedisError, Unavailable (`storage_unavailable`) where either cannot be used."""
        if time.monotonic() - self._checked < _FRESH_SECONDS:
            return
        await self._look()

    async def close(self) -> None:
        await self._look.close()

    async def _check(self) -> None:
        # Not PING, which the servers of a cluster that is down answer.
        await self._redis.exists(keys.BUSY)
        await self._storage.check()
        self._checked = time.monotonic()
