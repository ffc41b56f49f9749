"""Signing in: throttled, checked, written into the audit log."""

from __future__ import annotations

from typing import NamedTuple

from app.auth import audit_log, signin_throttle
from app.auth.accounts import Accounts
from app.auth.disabled_users import DisabledUsers
from app.auth.known_devices import KnownDevices
from app.auth.second_factor import SecondFactor
from app.auth.sessions import Sessions
from app.auth.signin_throttle import Charge, SignInThrottle
from app.auth.user_ids import user_id
from app.core.errors import Problem, Unauthenticated


class Caller(NamedTuple):
    """Who tries: from which address, with which cookie of a browser that has signed in before."""

    address: str
    device: str | None


class SignIn(NamedTuple):
    """What signing in looks at."""

    accounts: Accounts
    sessions: Sessions
    access: DisabledUsers
    devices: KnownDevices
    throttle: SignInThrottle
    factor: SecondFactor

    async def by_password(self, name: str, password: str, caller: Caller, code: str | None = None) -> str:
        """The user's id.

        Raises Unauthenticated (`bad_password`, `account_disabled`, `second_factor_required`, `bad_code`), TooMany
        (`too_many_sign_ins`), Unavailable.
        """
        try:
            async with self.throttle.attempt(await self.password_charges(name, caller)):
                user = await self.accounts.check(name, password)
                await self.access.let_in(user)
            await self._second_step(user, code, caller)
        except Problem as problem:
            audit_log.record("sign_in_refused", caller.address, user=name, reason=problem.code)
            raise
        audit_log.record("signed_in", caller.address, user=user, reason="password")
        return user

    async def by_link(self, token: str, caller: Caller, code: str | None = None) -> str:
        """The user's id. A link stands for the password, not for the second factor.

        Raises Unauthenticated (`link_used`, `account_disabled`, `second_factor_required`, `bad_code`), TooMany
        (`too_many_sign_ins`).
        """
        user = None
        try:
            async with self.throttle.attempt(signin_throttle.by_link(caller.address)):
                user = await self.sessions.whom(token)
            await self._second_step(user, code, caller)
            await self.sessions.redeem(token)
        except Problem as problem:
            audit_log.record("sign_in_refused", caller.address, user=user, reason=problem.code)
            raise
        audit_log.record("signed_in", caller.address, user=user, reason="link")
        return user

    async def at_provider(self, caller: Caller) -> None:
        """Counts a sign-in that begins at the OpenID provider. Raises TooMany (`too_many_sign_ins`)."""
        await self.throttle.charge(signin_throttle.at_provider(caller.address))

    async def password_charges(self, name: str, caller: Caller) -> list[Charge]:
        """What looking at the password of `name` counts for."""
        known = await self.devices.knows(caller.device, user_id(name))
        return signin_throttle.by_password(name, caller.address, caller.device if known else None)

    async def spend_code(self, user: str, code: str, caller: Caller) -> None:
        """Raises Unauthenticated (`bad_code`), TooMany (`too_many_sign_ins`)."""
        async with self.throttle.attempt(await self.code_charges(user, caller)):
            kind = await self.factor.verify(user, code)
        if kind == "recovery_code":
            audit_log.record("recovery_code_used", caller.address, user=user)

    async def code_charges(self, user: str, caller: Caller) -> list[Charge]:
        """What looking at a code of `user` counts for."""
        known = await self.devices.knows(caller.device, user)
        return signin_throttle.by_code(user, caller.address, caller.device if known else None)

    async def _second_step(self, user: str, code: str | None, caller: Caller) -> None:
        """Only who has come through the first learns whether there is one; that first step is no failure."""
        if not await self.factor.enabled(user):
            return
        if code is None:
            raise Unauthenticated("Send the code of your authenticator app, too.", code="second_factor_required")
        await self.spend_code(user, code, caller)
