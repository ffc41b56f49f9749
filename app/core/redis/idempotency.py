"""Answers to requests with an `Idempotency-Key`: kept for a day, so many and so large for each user, in Redis.

A request that is being done is held by a lease, which whoever does it renews: where their process dies, the key is free
when the lease is over.
"""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any, NamedTuple

import structlog
from pydantic_core import from_json
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.aio import cancel_and_wait
from app.core.errors import Conflict, Unprocessable
from app.core.json_model import compact
from app.core.redis import keys
from app.core.settings import Settings

logger = structlog.get_logger()

_ANSWERS = files("app.core.redis").joinpath("lua/idempotency.lua").read_text()
_DAY_MS = 86400 * 1000


class StoredResponse(NamedTuple):
    """An answer: its status, its body, and its `Location` if it has one."""

    status: int
    body: bytes
    location: str | None

    def packed(self) -> bytes:
        head = compact({"status": self.status, "location": self.location}).encode()
        return head + b"\n" + zlib.compress(self.body, 1)

    @classmethod
    def unpacked(cls, packed: bytes) -> StoredResponse:
        head, _, body = packed.partition(b"\n")
        told = from_json(head)
        return cls(told["status"], zlib.decompress(body), told["location"])


class KeyHolder:
    """One request's turn under its key. `before`: what was answered to it before; None where it is to be done."""

    def __init__(self, before: StoredResponse | None) -> None:
        self.before = before
        self.answer: StoredResponse | None = None
        """To be set when it is done."""


class IdempotentResponses:
    """The answers of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._script = redis.register_script(_ANSWERS)
        self._lease = settings.lease_seconds
        self._most, self._room = settings.max_answers_per_user, settings.max_answer_bytes_per_user

    @asynccontextmanager
    async def turn(self, user: str, key: str, asked: str) -> AsyncIterator[KeyHolder]:
        """The turn of the request that `asked` is a digest of; it is held while the context is open.

        Raises Unprocessable (`idempotency_mismatch`) where the key came with another request, Conflict
        (`idempotency_in_progress`) while another does it, RedisError.
        """
        digest, holder = keys.digest(key), secrets.token_hex(8)
        lease = int(self._lease * 1000)
        state, *more = await self._run(user, "begin", digest, holder, asked, lease, _DAY_MS)
        if state == b"other":
            raise Unprocessable("This Idempotency-Key was used for another request.", code="idempotency_mismatch")
        if state == b"begun":
            raise Conflict("The first request is still being done.", code="idempotency_in_progress", retry_after=1)
        if state == b"answer":
            yield KeyHolder(StoredResponse.unpacked(more[0]))
            return
        turn = KeyHolder(None)
        renewing = asyncio.create_task(self._renew(user, digest, holder))
        try:
            yield turn
        finally:
            await cancel_and_wait(renewing)
            await self._end(user, digest, holder, turn.answer)

    async def _end(self, user: str, digest: str, holder: str, answer: StoredResponse | None) -> None:
        """Keeps the answer, or frees the key. Where Redis takes nothing the key is free when the lease is over."""
        try:
            if answer is None:
                await self._run(user, "drop", digest, holder)
            else:
                await self._run(user, "keep", digest, holder, self._most, self._room, answer.packed())
        except (RedisError, OSError) as error:
            logger.warning("answer_not_kept", error=str(error))

    async def _renew(self, user: str, digest: str, holder: str) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            with suppress(RedisError, OSError):
                await self._run(user, "renew", digest, holder, int(self._lease * 1000))

    async def _run(self, user: str, *told: str | int | bytes) -> Any:
        return await self._script(keys=[keys.answers(user), keys.answers_order(user)], args=list(told))
