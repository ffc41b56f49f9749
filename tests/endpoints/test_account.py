"""One's own account over HTTP: the password, the second factor, and what ends with a change of either."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pyotp
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.accounts import Accounts
from app.auth.bearer_tokens import Tokens
from app.auth.cookies import SESSION
from app.auth.sessions import Sessions
from app.cli import users
from app.core.settings import Settings
from tests.conftest import serve
from tests.support import Client

PASSWORD = "correct horse battery staple"
NEW = "a long walk to the lighthouse"


@pytest.fixture
async def addresses(settings: Settings, redis: Redis) -> AsyncIterator[list[str]]:
    """Two web processes' worth of application on one Redis, with alice's account."""
    await Accounts(redis, settings).add("alice", PASSWORD)
    async with serve(settings) as first, serve(settings) as second:
        yield [first, second]


def anyone_at(address: str, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=30)


async def sign_in(http: httpx.AsyncClient, password: str = PASSWORD, **more: str) -> httpx.Response:
    return await http.post("/api/session", json={"username": "alice", "password": password, **more})


async def signed_in(http: httpx.AsyncClient) -> Client:
    answer = await sign_in(http)
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
    return Client(http)


async def post(http: httpx.AsyncClient, path: str, **body: str) -> httpx.Response:
    return await http.post(f"/api/account{path}", json=body)


async def enable(http: httpx.AsyncClient) -> tuple[pyotp.TOTP, list[str]]:
    begun = (await http.post("/api/account/second-factor")).json()
    app = pyotp.TOTP(begun["secret"])
    assert pyotp.parse_uri(begun["uri"]).secret == app.secret
    assert begun["qr"].startswith("<svg")
    assert "style=" not in begun["qr"]
    answer = await post(http, "/second-factor/enable", password=PASSWORD, code=app.now())
    assert answer.status_code == httpx.codes.OK, answer.text
    return app, answer.json()["recoveryCodes"]


def fresh(app: pyotp.TOTP) -> str:
    return app.at(time.time() + app.interval)


async def test_new_password_ends_all_but_the_browser_that_asked_and_gives_that_another_session(
    addresses: list[str], settings: Settings, redis: Redis
) -> None:
    token = Tokens(settings.signing_key()).sign("alice", 3600)
    link = await Sessions(redis, settings).link("alice")
    async with (
        anyone_at(addresses[0]) as here,
        anyone_at(addresses[1]) as other,
        anyone_at(addresses[1], Authorization=f"Bearer {token}") as script,
    ):
        mine, theirs = await signed_in(here), await signed_in(other)
        former = here.cookies[SESSION]
        async with mine.stream() as own, theirs.stream() as foreign, Client(script).stream() as third:
            for stream in (own, foreign, third):
                await stream.next("ready")
            answer = await post(here, "/password", currentPassword=PASSWORD, newPassword=NEW)
            assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
            for stream in (own, foreign, third):
                await stream.ends()
        assert here.cookies[SESSION] != former
        assert (await here.get("/api/session")).json()["user"] == "alice"
        for http in (other, script):
            assert (await http.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        async with mine.stream() as stream:
            assert (await stream.next()).event == "ready"
        assert (await sign_in(other)).json()["code"] == "bad_password"
        assert (await sign_in(other, NEW)).status_code == httpx.codes.NO_CONTENT
        # A link that was made before is no way around it.
        assert (await other.post("/api/session", json={"link": link})).json()["code"] == "link_used"
        again = await other.get("/api/session", headers={"Cookie": f"{SESSION}={former}"})
        assert again.status_code == httpx.codes.UNAUTHORIZED


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"currentPassword": "wrong", "newPassword": NEW}, 403, "wrong_password"),
        ({"currentPassword": PASSWORD, "newPassword": "short"}, 422, "weak_password"),
        ({"currentPassword": PASSWORD, "newPassword": "x1?" * 100}, 422, "weak_password"),
        ({"currentPassword": PASSWORD, "newPassword": "Password123!"}, 422, "common_password"),
        ({"currentPassword": PASSWORD}, 422, "invalid"),
    ],
)
async def test_password_that_cannot_be_changed_so_stays(
    addresses: list[str], body: dict[str, str], status: int, code: str
) -> None:
    async with anyone_at(addresses[0]) as http:
        await signed_in(http)
        answer = await post(http, "/password", **body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await http.get("/api/session")).status_code == httpx.codes.OK
        assert (await sign_in(http)).status_code == httpx.codes.NO_CONTENT


async def test_present_password_is_not_guessed_on_any_door(addresses: list[str]) -> None:
    async with anyone_at(addresses[0]) as http:
        await signed_in(http)
        for _ in range(10):
            await post(http, "/password", currentPassword="wrong", newPassword=NEW)
        answers = [
            await post(http, "/password", currentPassword=PASSWORD, newPassword=NEW),
            await post(http, "/second-factor/enable", password=PASSWORD, code="000000"),
            await post(http, "/second-factor/disable", password=PASSWORD, code="000000"),
            await post(http, "/second-factor/recovery-codes", password=PASSWORD, code="000000"),
        ]
        assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(429, "too_many_sign_ins")}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)


async def test_second_factor_from_its_beginning_to_its_end(addresses: list[str]) -> None:
    async with anyone_at(addresses[0]) as http, anyone_at(addresses[1]) as other:
        await signed_in(http)
        await signed_in(other)
        refused = await post(http, "/second-factor/enable", password=PASSWORD, code="000000")
        assert refused.json()["code"] == "second_factor_not_begun"
        app, codes = await enable(http)
        standing = (await http.get("/api/account")).json()
        assert (standing["secondFactor"], standing["recoveryCodes"]) == (True, len(codes))
        # Who came in without it has to come in anew.
        assert (await other.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        assert (await sign_in(other)).json()["code"] == "second_factor_required"
        assert "set-cookie" not in (await sign_in(other, code="000000")).headers
        assert (await sign_in(other, code=codes[0])).status_code == httpx.codes.NO_CONTENT
        for path in ("/second-factor/disable", "/second-factor/recovery-codes"):
            for body, code in (
                ({"password": "wrong", "code": fresh(app)}, "wrong_password"),
                ({"password": PASSWORD, "code": codes[0]}, "wrong_code"),
            ):
                answer = await post(http, path, **body)
                assert (answer.status_code, answer.json()["code"]) == (403, code)
        renewed = (await post(http, "/second-factor/recovery-codes", password=PASSWORD, code=codes[1])).json()
        assert not set(renewed["recoveryCodes"]) & set(codes)
        gone = await post(http, "/second-factor/disable", password=PASSWORD, code=fresh(app))
        assert gone.status_code == httpx.codes.NO_CONTENT, gone.text
        assert (await other.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        assert (await http.get("/api/account")).json()["secondFactor"] is False
        assert (await sign_in(other)).status_code == httpx.codes.NO_CONTENT


async def test_operator_takes_a_lost_second_factor_away(addresses: list[str], settings: Settings) -> None:
    async with anyone_at(addresses[0]) as http, anyone_at(addresses[1]) as other:
        await signed_in(http)
        await enable(http)
        assert (await sign_in(other)).json()["code"] == "second_factor_required"
        assert await users.reset_second_factor(settings, "alice")
        assert not await users.reset_second_factor(settings, "alice")
        assert (await http.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        assert (await sign_in(other)).status_code == httpx.codes.NO_CONTENT


async def test_who_came_in_without_a_password_here_has_nothing_to_change(alice: Client) -> None:
    assert (await alice.http.get("/api/account")).json() == {
        "user": "alice",
        "name": "alice",
        "password": False,
        "secondFactor": False,
        "recoveryCodes": 0,
        "minPasswordCharacters": 12,
        "maxPasswordCharacters": 256,
    }
    bodies: dict[str, dict[str, Any]] = {
        "/password": {"currentPassword": PASSWORD, "newPassword": NEW},
        "/second-factor/enable": {"password": PASSWORD, "code": "000000"},
    }
    for path, body in bodies.items():
        answer = await post(alice.http, path, **body)
        assert (answer.status_code, answer.json()["code"]) == (409, "no_local_account")


async def test_changes_of_ones_own_account_are_in_the_audit_log_without_a_secret(addresses: list[str]) -> None:
    with capture_logs() as lines:
        async with anyone_at(addresses[0]) as http:
            await signed_in(http)
            await post(http, "/password", currentPassword="a wrong one", newPassword=NEW)
            app, codes = await enable(http)
            await post(http, "/second-factor/recovery-codes", password=PASSWORD, code=fresh(app))
            await post(http, "/second-factor/disable", password=PASSWORD, code="999999")
            # The codes of this step and the next are used, and the first recovery codes are replaced.
            assert (await post(http, "/second-factor/disable", password=PASSWORD, code=codes[0])).status_code == 403
            await post(http, "/password", currentPassword=PASSWORD, newPassword=NEW)
    told = [(line["event"], line.get("reason")) for line in lines if line.get("logger") == "audit"]
    assert told == [
        ("signed_in", "password"),
        ("password_change_refused", "wrong_password"),
        ("second_factor_enabled", None),
        ("recovery_codes_renewed", None),
        ("second_factor_refused", "wrong_code"),
        ("second_factor_refused", "wrong_code"),
        ("password_changed", None),
    ]
    secrets = [PASSWORD, NEW, "a wrong one", app.secret, *codes, "999999"]
    assert not [secret for secret in secrets if secret in str(lines)]
