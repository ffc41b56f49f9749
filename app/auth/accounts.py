"""Local accounts: a name and a password, of which only an argon2 hash is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from redis.asyncio import Redis

from app.auth import password_rules
from app.auth.disabled_users import DisabledUsers
from app.auth.user_ids import user_id
from app.core.errors import Conflict, NotFound, Unauthenticated, Unavailable, Unprocessable
from app.core.redis import keys
from app.core.redis.client import decoded, fields, names
from app.core.settings import Settings
from app.core.timestamps import now

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_MAX_NAME = 64
_MAX_PASSWORD = 1024  # which earlier versions took
# A hash takes 64 MiB and a core for some 50 ms. Whoever would wait longer than a second or two is told to come again.
_AT_ONCE = 2
_WAITING = 40

T = TypeVar("T")


class Account(NamedTuple):
    """A local account, without its password."""

    name: str
    created_at: str
    disabled: bool


class Accounts:
    """The local accounts in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._shortest = settings.min_password_characters
        self._access = DisabledUsers(redis)
        self._hasher = PasswordHasher()
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def add(self, name: str, password: str) -> None:
        """A new account.

        Raises Unprocessable (`bad_name`, `weak_password`, `common_password`), Conflict (`account_exists`).
        """
        check_name(name)
        hashed = await self._hash(name, password)
        await self._redis.sadd(keys.ACCOUNTS, name)
        # The password's field is what makes the account: of two who add the same name one wins.
        if not await self._redis.hsetnx(keys.account(name), "password", hashed):
            raise Conflict("There is an account of that name already.", code="account_exists")
        await self._redis.hset(keys.account(name), mapping=fields({"createdAt": now()}))

    async def set_password(self, name: str, password: str) -> None:
        """Another password; whatever the user has come in with so far holds no longer.

        Raises NotFound, Unprocessable (`weak_password`, `common_password`).
        """
        if not await self.has(name):
            raise NotFound("There is no account of that name.")
        changes = {"password": await self._hash(name, password), "changedAt": now()}
        await self._redis.hset(keys.account(name), mapping=fields(changes))
        await self._access.revoke(user_id(name))

    async def has(self, name: str) -> bool:
        """Whether there is an account of this name."""
        return bool(await self._redis.hexists(keys.account(name), "password"))

    async def remove(self, name: str) -> None:
        """Forget the account; one that is not there is no matter."""
        await self._redis.delete(keys.account(name))
        await self._redis.srem(keys.ACCOUNTS, name)

    async def all(self) -> list[Account]:
        """All accounts, by name."""
        found = []
        for name in sorted(names(await self._redis.smembers(keys.ACCOUNTS))):
            if record := decoded(await self._redis.hgetall(keys.account(name))):
                disabled = await self._access.disabled(user_id(name))
                found.append(Account(name, record.get("createdAt", ""), disabled))
        return found

    async def check(self, name: str, password: str) -> str:
        """The id of the user with this name and password.

        Raises Unauthenticated (`bad_password`), Unavailable (`too_busy`).
        """
        known = len(name) <= _MAX_NAME
        record = decoded(await self._redis.hgetall(keys.account(name))) if known else {}
        given = password_rules.normalised(password)
        if not await self._work(lambda: self._matches(record.get("password"), given[:_MAX_PASSWORD])):
            raise Unauthenticated("The name or the password is wrong.", code="bad_password")
        return user_id(name)

    async def _hash(self, name: str, password: str) -> str:
        given = password_rules.normalised(password)
        password_rules.check_new(given, name, self._shortest)
        return await self._work(lambda: self._hasher.hash(given))

    async def _work(self, work: Callable[[], T]) -> T:
        """What takes a core for a while, in a thread, for few at once. Raises Unavailable (`too_busy`)."""
        if self._waiting >= _WAITING:
            raise Unavailable("Too many are signing in just now; try again.", code="too_busy", retry_after=2)
        self._waiting += 1
        try:
            async with self._places:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1

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
