"""Disabled users, and moments before which a user's credentials are refused.

Each change is written first, then published to all web processes, which end the streams that it concerns.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from redis.asyncio import Redis, RedisCluster

from app.auth.credential import Credential
from app.core.errors import Unauthenticated
from app.core.json_model import compact
from app.core.redis import keys
from app.core.redis.client import fields
from app.core.redis.multiplexed import ask


class DisabledUsers:
    """Which users of one Redis are disabled or signed out."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._publish = "SPUBLISH" if isinstance(redis, RedisCluster) else "PUBLISH"

    async def check(self, user: str, issued: float) -> None:
        """Raise Unauthenticated (`account_disabled`, `signed_out`) if a credential of that time is refused."""
        disabled, not_before = await ask(self._redis, "HMGET", keys.access(user), "disabled", "notBefore")
        if disabled:
            raise Unauthenticated("This account is disabled.", code="account_disabled")
        if not_before and issued < float(not_before):
            raise Unauthenticated("You were signed out; sign in again.", code="signed_out")

    async def let_in(self, user: str) -> None:
        """Raise Unauthenticated (`account_disabled`) for a disabled user who has just authenticated."""
        await self.check(user, time.time())

    async def holding(self, credentials: Sequence[Credential]) -> list[bool]:
        """Return which of the credentials hold, in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for credential in credentials:
                pipe.hmget(keys.access(credential.user), ["disabled", "notBefore"])
                pipe.exists(keys.session(credential.session or ""))
            answers = await pipe.execute()
        return [
            not disabled and credential.issued >= float(not_before or 0) and (credential.session is None or bool(there))
            for credential, (disabled, not_before), there in zip(credentials, answers[::2], answers[1::2], strict=True)
        ]

    async def revoke(self, user: str) -> None:
        """Revoke all credentials that the user has so far."""
        await self._change(user, {"notBefore": repr(time.time())})

    async def disable(self, user: str) -> None:
        """Disable the user until `enable`."""
        await self._change(user, {"disabled": "1", "notBefore": repr(time.time())})

    async def enable(self, user: str) -> bool:
        """Enable the user, with new credentials; return False if they were not disabled."""
        return bool(await self._redis.hdel(keys.access(user), "disabled"))

    async def disabled(self, user: str) -> bool:
        return bool(await self._redis.hexists(keys.access(user), "disabled"))

    async def ended(self, user: str, session: str) -> None:
        """Publish to all web processes that one session has ended."""
        await self._tell(user, session)

    async def _change(self, user: str, changes: dict[str, str]) -> None:
        await self._redis.hset(keys.access(user), mapping=fields(changes))
        await self._tell(user, None)

    async def _tell(self, user: str, session: str | None) -> None:
        message = compact({"user": user, "session": session})
        command = (self._publish, keys.CONTROL, message)
        await self._redis.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py's is untyped
