"""An optional second factor of local accounts: codes by time (TOTP, RFC 6238), and codes to recover with.

The secret that makes the codes must be readable here; it is kept sealed with the key that signs tokens, so that whoever
gets hold of Redis alone, or of a copy, can make no codes. Of recovery codes, which are random and each good once, only
digests are kept. A code by time is accepted once: in its window nobody can use it after its owner.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import Literal, NamedTuple

import pyotp
import structlog
from pyotp.exceptions import OTPVerificationError
from redis.asyncio import Redis

from app.auth.keyring import Keyring
from app.auth.sealed_box import seal, unseal
from app.core.errors import Conflict, Unauthenticated
from app.core.redis import keys
from app.core.redis.client import decoded, fields

logger = structlog.get_logger()

RECOVERY_CODES = 10

_ISSUER = "SmartVoice"
_WINDOW = 1  # steps of 30 s before and after, for clocks that differ
_USED_SECONDS = 180
_PENDING_SECONDS = 600
_BY_TIME = re.compile(r"[0-9]{6}")
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_LENGTH = 4, 4


class Enrolment(NamedTuple):
    """What an authenticator app is to be told: the secret in base32, and the same as an `otpauth:` address."""

    secret: str
    uri: str


class SecondFactor:
    """The second factors of all users in one Redis."""

    def __init__(self, redis: Redis, keyring: Keyring) -> None:
        self._redis = redis
        self._keyring = keyring

    async def enabled(self, user: str) -> bool:
        return bool(await self._redis.hexists(keys.second_factor(user), "secret"))

    async def recovery_codes_left(self, user: str) -> int:
        return int(await self._redis.scard(keys.recovery_codes(user)))

    async def begin(self, user: str) -> Enrolment:
        """A new secret, which counts once a code of it has come back within ten minutes.

        Raises Conflict (`second_factor_enabled`).
        """
        if await self.enabled(user):
            raise _enabled()
        secret = pyotp.random_base32()
        await self._redis.set(keys.second_factor_pending(user), self._sealed(secret), ex=_PENDING_SECONDS)
        return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=_ISSUER))

    async def enable(self, user: str, code: str) -> list[str]:
        """Ask for codes from now on; the recovery codes, which nobody can read again.

        Raises Unauthenticated (`bad_code`), Conflict (`second_factor_not_begun`, `second_factor_enabled`).
        """
        pending = await self._redis.get(keys.second_factor_pending(user))
        sealed = pending.decode() if isinstance(pending, bytes) else ""
        secret = self._opened(sealed)
        if secret is None:
            raise Conflict("Begin anew: this took too long.", code="second_factor_not_begun")
        await self._use(user, secret, code)
        if not await self._redis.hsetnx(keys.second_factor(user), "secret", sealed):
            raise _enabled()
        await self._redis.hset(keys.second_factor(user), mapping=fields({"since": str(int(time.time()))}))
        await self._redis.delete(keys.second_factor_pending(user))
        return await self.renew_recovery_codes(user)

    async def verify(self, user: str, code: str) -> Literal["code", "recovery_code"]:
        """Spend a code; which kind it was. Raises Unauthenticated (`bad_code`)."""
        code = re.sub(r"[\s-]", "", code).lower()
        if _BY_TIME.fullmatch(code):
            record = decoded(await self._redis.hgetall(keys.second_factor(user)))
            secret = self._opened(record.get("secret", ""))
            if secret is None:
                raise _bad_code()
            await self._use(user, secret, code)
            await self._seal_anew(user, record["secret"], secret)
            return "code"
        if not await self._redis.srem(keys.recovery_codes(user), keys.digest(code)):
            raise _bad_code()
        return "recovery_code"

    async def renew_recovery_codes(self, user: str) -> list[str]:
        """New recovery codes in place of all that there were."""
        codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.recovery_codes(user))
            pipe.sadd(keys.recovery_codes(user), *(keys.digest(code.replace("-", "")) for code in codes))
            await pipe.execute()
        return codes

    async def remove(self, user: str) -> bool:
        """Ask for no codes any more; False where none were asked for."""
        removed = await self._redis.delete(keys.second_factor(user))
        await self._redis.delete(keys.recovery_codes(user), keys.second_factor_pending(user))
        return bool(removed)

    async def _use(self, user: str, secret: str, code: str) -> None:
        """Raises Unauthenticated (`bad_code`) for a wrong code and for one that was used."""
        try:
            step = pyotp.TOTP(secret).verify_and_get_timecode(code.strip(), valid_window=_WINDOW)
        except OTPVerificationError as error:
            raise _bad_code() from error
        if not await self._redis.set(keys.code_used(user, step), "1", nx=True, ex=_USED_SECONDS):
            raise _bad_code()

    async def _seal_anew(self, user: str, sealed: str, secret: str) -> None:
        """With the key that signs now: the former may be removed."""
        if not sealed.startswith(f"{self._keyring.signing.id} "):
            await self._redis.hset(keys.second_factor(user), mapping=fields({"secret": self._sealed(secret)}))

    def _sealed(self, secret: str) -> str:
        own = self._keyring.signing
        return f"{own.id} {seal(own.key.raw_value.hex(), secret)}"

    def _opened(self, sealed: str) -> str | None:
        id, _, content = sealed.partition(" ")
        for own in self._keyring.called(id) if content else []:
            if (secret := unseal(own.key.raw_value.hex(), content)) is not None:
                return secret
        if content:
            logger.warning("second_factor_unreadable", key=id)
        return None


def _recovery_code() -> str:
    """Four groups of four, some 80 bits; without what is easily misread."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))
    return "-".join(groups)


def _bad_code() -> Unauthenticated:
    return Unauthenticated("The code is wrong, or was used already.", code="bad_code")


def _enabled() -> Conflict:
    return Conflict("The second factor is on already.", code="second_factor_enabled")
