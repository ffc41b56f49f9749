"""How often somebody may try to sign in: counted in Redis, for all web processes together.

An attempt is charged before the password is looked at, so that a thousand at once cannot all pass, and given back where
it succeeds: only failures count. Who is charged, and why nobody can lock another out: `docs/adr/0010`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from math import ceil
from typing import NamedTuple

from redis.asyncio import Redis

from app.core.errors import Problem, TooMany, Unauthenticated
from app.core.redis import keys

_SCRIPT = files("app.auth").joinpath("lua/signin_throttle.lua").read_text()


class AttemptRate(NamedTuple):
    """So many attempts at once, then one every so many seconds."""

    burst: int
    seconds: float


DEVICE = AttemptRate(10, 30)
ACCOUNT_AND_ADDRESS = AttemptRate(5, 60)
ADDRESS = AttemptRate(30, 10)
ACCOUNT = AttemptRate(20, 30)
BEGUN = AttemptRate(30, 5)
CODE = AttemptRate(10, 600)
CODE_AND_DEVICE = AttemptRate(5, 300)


class Charge(NamedTuple):
    """One count that an attempt is charged to."""

    kind: str
    whom: str
    rate: AttemptRate

    @property
    def key(self) -> str:
        return keys.throttle(self.kind, self.whom)


def by_password(name: str, address: str, device: str | None) -> list[Charge]:
    """What an attempt at the account `name` counts for; `device`: the cookie of a browser that it knows."""
    if device is not None:
        return [Charge("device", device, DEVICE)]
    place = network(address)
    return [
        Charge("pair", f"{place} {name}", ACCOUNT_AND_ADDRESS),
        Charge("address", place, ADDRESS),
        Charge("account", name, ACCOUNT),
    ]


def by_code(user: str, address: str, device: str | None) -> list[Charge]:
    """What an attempt at a code of the second factor counts for, by somebody who has the password."""
    if device is not None:
        return [Charge("code-device", device, CODE_AND_DEVICE)]
    return [Charge("code", user, CODE), Charge("address", network(address), ADDRESS)]


def by_link(address: str) -> list[Charge]:
    """What an attempt with a one-time link counts for."""
    return [Charge("address", network(address), ADDRESS)]


def at_provider(address: str) -> list[Charge]:
    """What a sign-in that begins at the OpenID provider counts for: it is remembered until it ends."""
    return [Charge("begun", network(address), BEGUN)]


def network(address: str) -> str:
    """The address as it is counted: of IPv6 the first 64 bits, which are one customer's."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))
    return str(ip)


class SignInThrottle:
    """The counts in one Redis."""

    def __init__(self, redis: Redis) -> None:
        self._script = redis.register_script(_SCRIPT)

    @asynccontextmanager
    async def attempt(self, charges: Sequence[Charge]) -> AsyncIterator[None]:
        """One attempt; it has failed if the context ends with Unauthenticated.

        Raises TooMany (`too_many_sign_ins`, with `Retry-After`) before anything is tried.
        """
        charged = await self.charge(charges)
        try:
            yield
        except Unauthenticated:
            raise
        except Problem:
            # It was not tried at all.
            await self._give_back(charged)
            raise
        await self._give_back(charged)

    async def charge(self, charges: Sequence[Charge]) -> list[Charge]:
        """Counts an attempt, however it ends. Raises TooMany (`too_many_sign_ins`, with `Retry-After`)."""
        charged: list[Charge] = []
        for charge in charges:
            wait = await self._count(charge, 1)
            if wait > 0:
                await self._give_back(charged)
                raise TooMany(
                    "Too many attempts to sign in; wait a little.",
                    code="too_many_sign_ins",
                    retry_after=ceil(wait / 1000),
                )
            charged.append(charge)
        return charged

    async def _give_back(self, charged: Sequence[Charge]) -> None:
        for charge in charged:
            await self._count(charge, -1)

    async def _count(self, charge: Charge, attempts: int) -> int:
        burst, seconds = charge.rate
        return int(await self._script(keys=[charge.key], args=[int(seconds * 1000), burst, attempts]))
