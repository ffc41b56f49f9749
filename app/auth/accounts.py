"""Local accounts: a name and a password, of which only an argon2 hash is kept."""

from __future__ import annotations

import asyncio
import re
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from redis.asyncio import Redis

from app.auth.names import user_id
from app.core import keys
from app.core.errors import Conflict, Unauthenticated, Unprocessable
from app.core.models import now
from app.core.redis import decoded, fields

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SHORTEST = 8
_LONGEST = 1024


class Accounts:
    """The local accounts in one Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._hasher = PasswordHasher()

    async def add(self, name: str, password: str) -> None:
        """A new account. Raises Unprocessable (`bad_name`, `weak_password`), Conflict (`account_exists`)."""
        check_name(name)
        if not _SHORTEST <= len(password) <= _LONGEST:
            raise Unprocessable(f"A password has at least {_SHORTEST} characters.", code="weak_password")
        hashed = await asyncio.to_thread(self._hasher.hash, password)
        # The password's field is what makes the account: of two who add the same name one wins.
        if not await self._redis.hsetnx(keys.account(name), "password", hashed):
            raise Conflict("There is an account of that name already.", code="account_exists")
        await self._redis.hset(keys.account(name), mapping=fields({"createdAt": now()}))

    async def check(self, name: str, password: str) -> str:
        """The id of the user with this name and password. Raises Unauthenticated (`bad_password`)."""
        record = decoded(await self._redis.hgetall(keys.account(name[:64])))
        matches = await asyncio.to_thread(self._matches, record.get("password"), password[:_LONGEST])
        if not matches:
            raise Unauthenticated("The name or the password is wrong.", code="bad_password")
        return user_id(name)

    @cached_property
    def _nobody(self) -> str:
        """Checked where there is no such account, so that the answer takes as long as for a wrong password."""
        return self._hasher.hash("nobody has this password")

    def _matches(self, hashed: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(hashed or self._nobody, password) and hashed is not None
        except (VerificationError, InvalidHashError):
            return False


def check_name(name: str) -> None:
    """Raises Unprocessable (`bad_name`) for what cannot be an account's name."""
    if not _NAME.fullmatch(name):
        raise Unprocessable("A name is letters, digits, `.`, `_`, `@` and `-`, at most 64.", code="bad_name")
