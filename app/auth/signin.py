"""Signing in: throttled, checked, written into the audit log."""

from __future__ import annotations

from typing import NamedTuple

from app.auth import audit, throttle
from app.auth.access import Access
from app.auth.accounts import Accounts
from app.auth.devices import Devices
from app.auth.names import user_id
from app.auth.sessions import Sessions
from app.auth.throttle import Throttle
from app.core.errors import Problem


class Caller(NamedTuple):
    """Who tries: from which address, with which cookie of a browser that has signed in before."""

    address: str
    device: str | None


class SignIn(NamedTuple):
    """What signing in looks at."""

    accounts: Accounts
    sessions: Sessions
    access: Access
    devices: Devices
    throttle: Throttle

    async def by_password(self, name: str, password: str, caller: Caller) -> str:
        """The user's id.

        Raises Unauthenticated (`bad_password`, `account_disabled`), TooMany (`too_many_sign_ins`), Unavailable.
        """
        try:
            known = await self.devices.knows(caller.device, user_id(name))
            charges = throttle.by_password(name, caller.address, caller.device if known else None)
            async with self.throttle.attempt(charges):
                user = await self.accounts.check(name, password)
                await self.access.let_in(user)
        except Problem as problem:
            audit.record("sign_in_refused", caller.address, user=name, reason=problem.code)
            raise
        audit.record("signed_in", caller.address, user=user, reason="password")
        return user

    async def by_link(self, token: str, caller: Caller) -> str:
        """The user's id. Raises Unauthenticated (`link_used`, `account_disabled`), TooMany (`too_many_sign_ins`)."""
        try:
            async with self.throttle.attempt(throttle.by_link(caller.address)):
                user = await self.sessions.redeem(token)
        except Problem as problem:
            audit.record("sign_in_refused", caller.address, reason=problem.code)
            raise
        audit.record("signed_in", caller.address, user=user, reason="link")
        return user

    async def at_provider(self, caller: Caller) -> None:
        """Counts a sign-in that begins at the OpenID provider. Raises TooMany (`too_many_sign_ins`)."""
        await self.throttle.charge(throttle.at_provider(caller.address))
