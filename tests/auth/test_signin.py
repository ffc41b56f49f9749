"""Guessing passwords: slowed down everywhere at once, without anybody locking another out."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.accounts import Accounts
from app.auth.disabled_users import DisabledUsers
from app.auth.keyring import Keyring
from app.auth.known_devices import KnownDevices
from app.auth.second_factor import SecondFactor
from app.auth.sessions import Sessions
from app.auth.signin import Caller, SignIn
from app.auth.signin_throttle import ACCOUNT, ACCOUNT_AND_ADDRESS, ADDRESS, AttemptRate, SignInThrottle, network
from app.core.errors import Problem, TooMany, Unauthenticated, Unavailable
from app.core.redis import keys
from app.core.settings import Settings
from tests.support import until

PASSWORD = "correct horse battery staple"


class QuickAccounts(Accounts):
    """Checks without an argon2 hash, and counts how often it was asked to."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        super().__init__(redis, settings)
        self.checks = 0

    async def check(self, name: str, password: str) -> str:
        self.checks += 1
        if password != PASSWORD:
            raise Unauthenticated("No.", code="bad_password")
        return name


@pytest.fixture
def accounts(redis: Redis, settings: Settings) -> QuickAccounts:
    return QuickAccounts(redis, settings)


@pytest.fixture
def factor(redis: Redis, settings: Settings) -> SecondFactor:
    return SecondFactor(redis, Keyring.of(settings))


@pytest.fixture
def sign_in(redis: Redis, settings: Settings, accounts: QuickAccounts, factor: SecondFactor) -> SignIn:
    return SignIn(
        accounts, Sessions(redis, settings), DisabledUsers(redis), KnownDevices(redis), SignInThrottle(redis), factor
    )


async def tried(sign_in: SignIn, name: str, address: str, password: str = "wrong", device: str | None = None) -> str:
    """The code of the refusal; empty where it succeeds."""
    try:
        await sign_in.by_password(name, password, Caller(address, device))
    except Problem as problem:
        return problem.code
    return ""


async def test_sixth_guess_from_one_address_is_refused_without_a_look_at_the_password(
    sign_in: SignIn, accounts: QuickAccounts
) -> None:
    codes = [await tried(sign_in, "alice", "192.0.2.1") for _ in range(ACCOUNT_AND_ADDRESS.burst + 3)]
    assert codes == ["bad_password"] * 5 + ["too_many_sign_ins"] * 3
    assert await tried(sign_in, "alice", "192.0.2.1", PASSWORD) == "too_many_sign_ins"
    assert accounts.checks == 5
    # Neither others at that address nor alice elsewhere are concerned.
    assert await tried(sign_in, "bob", "192.0.2.1", PASSWORD) == ""
    assert await tried(sign_in, "alice", "192.0.2.2", PASSWORD) == ""


async def test_guesses_at_once_are_counted_one_by_one(sign_in: SignIn, accounts: QuickAccounts) -> None:
    await asyncio.gather(*(tried(sign_in, "alice", "192.0.2.1") for _ in range(100)))
    assert accounts.checks == ACCOUNT_AND_ADDRESS.burst


async def test_address_that_tries_many_names_is_refused(sign_in: SignIn, accounts: QuickAccounts) -> None:
    codes = [await tried(sign_in, f"user-{number}", "192.0.2.1") for number in range(ADDRESS.burst + 5)]
    assert codes.count("bad_password") == accounts.checks == ADDRESS.burst
    assert await tried(sign_in, "bob", "192.0.2.2", PASSWORD) == ""


async def test_guesses_from_everywhere_slow_down_all_but_browsers_that_the_user_has_used(
    sign_in: SignIn, accounts: QuickAccounts
) -> None:
    device = await sign_in.devices.remember("alice")
    codes = [await tried(sign_in, "alice", f"192.0.2.{number}") for number in range(ACCOUNT.burst + 10)]
    assert codes.count("bad_password") == ACCOUNT.burst
    assert await tried(sign_in, "alice", "198.51.100.1", PASSWORD) == "too_many_sign_ins"
    assert await tried(sign_in, "alice", "198.51.100.1", PASSWORD, device) == ""
    # Even at the address that the guesses come from.
    assert await tried(sign_in, "alice", "192.0.2.1", PASSWORD, device) == ""
    # A browser that somebody else has used is nothing to alice's account.
    assert await tried(sign_in, "alice", "198.51.100.1", PASSWORD, await sign_in.devices.remember("mallory"))


async def test_browser_that_the_user_has_used_has_no_free_guesses(sign_in: SignIn, accounts: QuickAccounts) -> None:
    device = await sign_in.devices.remember("alice")
    codes = [await tried(sign_in, "alice", "192.0.2.1", device=device) for _ in range(15)]
    assert codes.count("bad_password") == accounts.checks == 10


async def test_browser_is_forgotten_when_all_is_revoked(sign_in: SignIn) -> None:
    device = await sign_in.devices.remember("alice")
    assert await sign_in.devices.knows(device, "alice")
    assert not await sign_in.devices.knows(device, "bob")
    await sign_in.access.revoke("alice")
    assert not await sign_in.devices.knows(device, "alice")


async def test_who_succeeds_is_never_too_many(sign_in: SignIn, redis: Redis) -> None:
    for _ in range(ADDRESS.burst + 5):
        assert await tried(sign_in, "alice", "192.0.2.1", PASSWORD) == ""
    assert not await redis.keys("sv:throttle:*")


async def test_attempt_comes_back_with_time(redis: Redis, monkeypatch: pytest.MonkeyPatch, sign_in: SignIn) -> None:
    monkeypatch.setattr("app.auth.signin_throttle.ACCOUNT_AND_ADDRESS", AttemptRate(2, 0.05))
    for _ in range(5):
        await tried(sign_in, "alice", "192.0.2.1")
    pair = keys.throttle("pair", "192.0.2.1 alice")

    async def caught_up() -> bool:
        return not await redis.exists(pair)

    await until(caught_up)
    assert await tried(sign_in, "alice", "192.0.2.1", PASSWORD) == ""


async def test_disabled_user_is_refused_even_with_the_right_password(sign_in: SignIn) -> None:
    await sign_in.access.disable("alice")
    assert await tried(sign_in, "alice", "192.0.2.1", PASSWORD) == "account_disabled"
    await sign_in.access.enable("alice")
    assert await tried(sign_in, "alice", "192.0.2.1", PASSWORD) == ""


async def test_links_are_not_guessed_either(sign_in: SignIn) -> None:
    codes = []
    for _ in range(ADDRESS.burst + 3):
        with pytest.raises(Problem) as caught:
            await sign_in.by_link("invented", Caller("192.0.2.1", None))
        codes.append(caught.value.code)
    assert codes == ["link_used"] * ADDRESS.burst + ["too_many_sign_ins"] * 3


async def test_attempts_are_in_the_audit_log_without_what_was_tried(sign_in: SignIn) -> None:
    with capture_logs() as lines:
        await tried(sign_in, "alice", "192.0.2.1", "a secret guess")
        await tried(sign_in, "alice", "192.0.2.1", PASSWORD)
    told = [(line["logger"], line["event"], line["user"], line["address"], line["reason"]) for line in lines]
    assert told == [
        ("audit", "sign_in_refused", "alice", "192.0.2.1", "bad_password"),
        ("audit", "signed_in", "alice", "192.0.2.1", "password"),
    ]
    assert "guess" not in str(lines)


async def test_flood_of_sign_ins_from_everywhere_waits_in_a_short_line(redis: Redis, settings: Settings) -> None:
    accounts = Accounts(redis, settings)
    results = await asyncio.gather(
        *(accounts.check(f"nobody-{number}", PASSWORD) for number in range(200)), return_exceptions=True
    )
    refused = [result for result in results if isinstance(result, Unavailable)]
    assert {problem.code for problem in refused} == {"too_busy"}
    assert len(refused) >= 150
    await accounts.add("alice", PASSWORD)
    assert await accounts.check("alice", PASSWORD) == "alice"


async def test_who_was_turned_away_by_the_line_has_not_failed(
    sign_in: SignIn, redis: Redis, settings: Settings
) -> None:
    class Busy(QuickAccounts):
        async def check(self, name: str, password: str) -> str:
            raise Unavailable("Busy.", code="too_busy", retry_after=2)

    with pytest.raises(Unavailable):
        await sign_in._replace(accounts=Busy(redis, settings)).by_password("alice", PASSWORD, Caller("192.0.2.1", None))
    assert not await redis.keys("sv:throttle:*")


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_address_is_counted_as_one_customer(address: str, counted: str) -> None:
    assert network(address) == counted


async def test_refusal_says_when_to_come_again(sign_in: SignIn) -> None:
    for _ in range(ACCOUNT_AND_ADDRESS.burst):
        await tried(sign_in, "alice", "192.0.2.1")
    with pytest.raises(TooMany) as caught:
        await sign_in.by_password("alice", PASSWORD, Caller("192.0.2.1", None))
    assert 0 < (caught.value.retry_after or 0) <= ACCOUNT_AND_ADDRESS.seconds
