"""Browsers that somebody has signed in with before: known by a cookie, so that others' failures do not delay them."""

from __future__ import annotations

import json
import secrets
import time

from redis.asyncio import Redis

from app.auth.disabled_users import DisabledUsers
from app.core.errors import Unauthenticated
from app.core.json_model import compact
from app.core.redis import keys
from app.core.redis.client import names

SECONDS = 180 * 86400
_MAX_COUNT = 100  # of one user; the oldest are forgotten


class KnownDevices:
    """The browsers of all users in one Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._access = DisabledUsers(redis)

    async def knows(self, token: str | None, user: str) -> bool:
        """Whether `user` has signed in with this cookie's browser, and nothing was revoked since."""
        kept = await self._redis.get(keys.device(token)) if token else None
        if kept is None:
            return False
        found = json.loads(kept)
        try:
            await self._access.check(user, found["at"])
        except Unauthenticated:
            return False
        return bool(found["user"] == user)

    async def remember(self, user: str) -> str:
        """The cookie for a browser that `user` has just signed in with."""
        token = secrets.token_urlsafe(32)
        now, listed = time.time(), keys.devices(user)
        await self._redis.set(keys.device(token), compact({"user": user, "at": now}), ex=SECONDS)
        await self._redis.zadd(listed, {keys.digest(token): now})
        await self._redis.expire(listed, SECONDS)
        for digest in names(await self._redis.zrange(listed, 0, -_MAX_COUNT - 1)):
            await self._redis.delete(keys.device_of(digest))
            await self._redis.zrem(listed, digest)
        return token
