"""What one changes about one's own local account, each with the present password, throttled as signing in is.

Whatever makes it harder or easier to come in ends all that the user has come in with so far: browsers, tokens, streams,
links. The browser that asks is then given a session anew (`app.endpoints.browser_session`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from app.auth import audit_log
from app.auth.accounts import check_name
from app.auth.second_factor import Enrolment
from app.auth.signin import Caller, SignIn
from app.core.errors import Conflict, Forbidden, Problem, Unauthenticated, Unprocessable


class SignInMethods(NamedTuple):
    """How one may come in: whether by a password, whether with a second factor, and how many codes recover it."""

    password: bool
    second_factor: bool
    recovery_codes: int


class OwnAccount:
    """Changes of accounts by their owners."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in
        self._factor = sign_in.factor

    async def standing(self, user: str) -> SignInMethods:
        enabled = await self._factor.enabled(user)
        left = await self._factor.recovery_codes_left(user) if enabled else 0
        return SignInMethods(await self._has_password(user), enabled, left)

    async def change_password(self, user: str, present: str, new: str, caller: Caller) -> None:
        """Raises Forbidden (`wrong_password`), Unprocessable (`weak_password`, `common_password`), Conflict
        (`no_local_account`), TooMany (`too_many_sign_ins`), Unavailable."""
        async with self._noted("password_change_refused", user, caller):
            await self._confirm(user, present, caller)
            await self._sign_in.accounts.set_password(user, new)
        await self._end_all(user)
        audit_log.record("password_changed", caller.address, user=user)

    async def begin_second_factor(self, user: str) -> Enrolment:
        """Raises Conflict (`no_local_account`, `second_factor_enabled`)."""
        await self._must_have_password(user)
        return await self._factor.begin(user)

    async def enable_second_factor(self, user: str, password: str, code: str, caller: Caller) -> list[str]:
        """The recovery codes. Raises as `change_password` does, Forbidden (`wrong_code`), Conflict
        (`second_factor_not_begun`, `second_factor_enabled`)."""
        async with self._noted("second_factor_refused", user, caller):
            await self._confirm(user, password, caller)
            async with self._sign_in.throttle.attempt(await self._sign_in.code_charges(user, caller)):
                codes = await self._factor.enable(user, code)
        await self._end_all(user)
        audit_log.record("second_factor_enabled", caller.address, user=user)
        return codes

    async def disable_second_factor(self, user: str, password: str, code: str, caller: Caller) -> None:
        """Raises as `enable_second_factor` does, Conflict (`second_factor_disabled`)."""
        await self._confirm_with_code(user, password, code, caller)
        await self._factor.remove(user)
        await self._end_all(user)
        audit_log.record("second_factor_disabled", caller.address, user=user)

    async def renew_recovery_codes(self, user: str, password: str, code: str, caller: Caller) -> list[str]:
        """Raises as `disable_second_factor` does."""
        await self._confirm_with_code(user, password, code, caller)
        codes = await self._factor.renew_recovery_codes(user)
        audit_log.record("recovery_codes_renewed", caller.address, user=user)
        return codes

    async def _confirm_with_code(self, user: str, password: str, code: str, caller: Caller) -> None:
        async with self._noted("second_factor_refused", user, caller):
            await self._confirm(user, password, caller)
            if not await self._factor.enabled(user):
                raise Conflict("The second factor is off.", code="second_factor_disabled")
            await self._sign_in.spend_code(user, code, caller)

    async def _confirm(self, user: str, password: str, caller: Caller) -> None:
        await self._must_have_password(user)
        # The account's name is its user's id: names have nothing in them that an id encodes.
        async with self._sign_in.throttle.attempt(await self._sign_in.password_charges(user, caller)):
            await self._sign_in.accounts.check(user, password)

    @asynccontextmanager
    async def _noted(self, event: str, user: str, caller: Caller) -> AsyncIterator[None]:
        """Who asks is signed in: that a password or code is wrong is no reason to send them away (401)."""
        try:
            yield
        except Unauthenticated as error:
            refused = _forbidden(error)
            audit_log.record(event, caller.address, user=user, reason=refused.code)
            raise refused from error
        except Problem as problem:
            audit_log.record(event, caller.address, user=user, reason=problem.code)
            raise

    async def _end_all(self, user: str) -> None:
        await self._sign_in.access.revoke(user)
        await self._sign_in.sessions.end_all(user)

    async def _must_have_password(self, user: str) -> None:
        if not await self._has_password(user):
            raise Conflict("You have no password here; you came in another way.", code="no_local_account")

    async def _has_password(self, user: str) -> bool:
        try:
            check_name(user)
        except Unprocessable:
            return False
        return await self._sign_in.accounts.has(user)


def _forbidden(error: Unauthenticated) -> Forbidden:
    if error.code == "bad_password":
        return Forbidden("The present password is wrong.", code="wrong_password")
    return Forbidden(error.detail, code="wrong_code")
