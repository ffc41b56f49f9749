"""The second factor: codes by time, once each, slowed down, and recovered from."""

from __future__ import annotations

import time

import pyotp
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.keyring import Keyring
from app.auth.second_factor import RECOVERY_CODES, SecondFactor
from app.auth.signin import SignIn
from app.auth.signin_throttle import CODE
from app.core.errors import Problem
from app.core.keyfile import remove, rotate
from app.core.redis import keys
from app.core.settings import Settings
from tests.auth.test_signin import PASSWORD, QuickAccounts, accounts, factor, sign_in
from tests.auth.test_signin import tried as tried_without

__all__ = ["accounts", "factor", "sign_in"]


async def on(factor: SecondFactor, user: str = "alice") -> tuple[pyotp.TOTP, list[str]]:
    """Turns it on for `user`; the app, whose present code is spent, and the recovery codes."""
    app = pyotp.TOTP((await factor.begin(user)).secret)
    return app, await factor.enable(user, app.now())


def fresh(app: pyotp.TOTP) -> str:
    """A code that holds and was not used: that of the next step."""
    return app.at(time.time() + app.interval)


async def tried(sign_in: SignIn, code: str | None, address: str = "192.0.2.1", password: str = PASSWORD) -> str:
    """The code of the refusal; empty where it succeeds."""
    from app.auth.signin import Caller

    try:
        await sign_in.by_password("alice", password, Caller(address, None), code)
    except Problem as problem:
        return problem.code
    return ""


async def test_code_is_asked_for_only_once_the_password_was_right(sign_in: SignIn, factor: SecondFactor) -> None:
    app, _ = await on(factor)
    assert await tried(sign_in, fresh(app), password="wrong") == "bad_password"
    assert await tried(sign_in, None, password="wrong") == "bad_password"
    assert await tried(sign_in, None) == "second_factor_required"
    assert await tried(sign_in, "000000") == "bad_code"
    assert await tried(sign_in, f" {fresh(app)[:3]} {fresh(app)[3:]}") == ""


async def test_who_is_too_many_learns_nothing_of_the_password(
    sign_in: SignIn, factor: SecondFactor, accounts: QuickAccounts
) -> None:
    await on(factor)
    for _ in range(10):
        await tried(sign_in, None, password="wrong")
    looked = accounts.checks
    assert {await tried(sign_in, code) for code in (None, "000000")} == {"too_many_sign_ins"}
    assert accounts.checks == looked


async def test_first_step_is_no_failure(sign_in: SignIn, factor: SecondFactor, redis: Redis) -> None:
    await on(factor)
    assert {await tried(sign_in, None) for _ in range(12)} == {"second_factor_required"}
    assert not await redis.keys("sv:throttle:*")


async def test_code_that_was_used_is_refused_within_its_window(sign_in: SignIn, factor: SecondFactor) -> None:
    app, _ = await on(factor)
    code = fresh(app)
    assert [await tried(sign_in, code), await tried(sign_in, code)] == ["", "bad_code"]
    # The one that turned it on is spent, too.
    assert await tried(sign_in, app.now()) == "bad_code"


async def test_codes_are_not_guessed_from_many_addresses(sign_in: SignIn, factor: SecondFactor) -> None:
    app, _ = await on(factor)
    codes = [await tried(sign_in, "000000", f"192.0.2.{number}") for number in range(CODE.burst + 5)]
    assert codes == ["bad_code"] * CODE.burst + ["too_many_sign_ins"] * 5
    assert await tried(sign_in, fresh(app), "198.51.100.1") == "too_many_sign_ins"
    # Nobody is locked out of another account.
    assert await tried_without(sign_in, "bob", "192.0.2.1", PASSWORD) == ""


async def test_recovery_codes_are_good_once_each_and_kept_as_digests(
    sign_in: SignIn, factor: SecondFactor, redis: Redis
) -> None:
    app, codes = await on(factor)
    assert len(set(codes)) == RECOVERY_CODES
    with capture_logs() as lines:
        assert [await tried(sign_in, codes[0].upper()), await tried(sign_in, codes[0])] == ["", "bad_code"]
        assert await tried(sign_in, codes[1].replace("-", " ")) == ""
    assert [line["event"] for line in lines if line["event"].startswith("recovery")] == ["recovery_code_used"] * 2
    assert await factor.recovery_codes_left("alice") == RECOVERY_CODES - 2
    kept = {key: await redis.dump(key) for key in await redis.keys("*")}
    secrets = [app.secret, *codes, *(code.replace("-", "") for code in codes)]
    assert not [secret for secret in secrets if secret in f"{kept}{lines}"]
    renewed = await factor.renew_recovery_codes("alice")
    assert [await tried(sign_in, codes[2]), await tried(sign_in, renewed[0])] == ["bad_code", ""]


async def test_secret_outlives_the_key_that_sealed_it_where_it_was_used_meanwhile(
    sign_in: SignIn, factor: SecondFactor, redis: Redis, settings: Settings
) -> None:
    app, codes = await on(factor)
    former = Keyring.of(settings).signing.id
    rotate(settings.key_file)
    rotated = sign_in._replace(factor=SecondFactor(redis, Keyring.of(settings)))
    assert await tried(rotated, fresh(app)) == ""
    assert remove(settings.key_file, former)
    after = sign_in._replace(factor=SecondFactor(redis, Keyring.of(settings)))
    await redis.delete(*await redis.keys("sv:{u:alice}:code:*"))
    assert await tried(after, fresh(app)) == ""
    # Where it was not, a recovery code is the way in.
    lost = sign_in._replace(factor=SecondFactor(redis, Keyring([b"another key of at least some length"])))
    with capture_logs() as lines:
        assert [await tried(lost, fresh(app)), await tried(lost, codes[0])] == ["bad_code", ""]
    assert "second_factor_unreadable" in {line["event"] for line in lines}


async def test_enabling_wants_a_code_of_what_was_begun(factor: SecondFactor, redis: Redis) -> None:
    async def refused(code: str) -> str:
        with pytest.raises(Problem) as caught:
            await factor.enable("alice", code)
        return caught.value.code

    assert await refused("000000") == "second_factor_not_begun"
    app = pyotp.TOTP((await factor.begin("alice")).secret)
    assert await refused("000000") == "bad_code"
    assert not await factor.enabled("alice")
    assert 0 < await redis.ttl(keys.second_factor_pending("alice")) <= 600
    await factor.enable("alice", app.now())
    with pytest.raises(Problem, match="on already"):
        await factor.begin("alice")
    assert await factor.remove("alice")
    assert not await factor.enabled("alice")
    assert await factor.recovery_codes_left("alice") == 0


async def test_link_stands_for_the_password_alone(sign_in: SignIn, factor: SecondFactor) -> None:
    from app.auth.signin import Caller

    app, _ = await on(factor)
    token, caller = await sign_in.sessions.link("alice"), Caller("192.0.2.1", None)
    for code, refusal in ((None, "second_factor_required"), ("000000", "bad_code")):
        with pytest.raises(Problem) as caught:
            await sign_in.by_link(token, caller, code)
        assert caught.value.code == refusal
    assert await sign_in.by_link(token, caller, fresh(app)) == "alice"
    with pytest.raises(Problem, match="used already"):
        await sign_in.by_link(token, caller, None)
