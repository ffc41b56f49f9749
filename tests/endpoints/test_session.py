"""Signing in by password and by link, and out again."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from redis.asyncio import Redis

from app.auth.accounts import Accounts
from app.auth.sessions import Sessions
from app.core.errors import Conflict, Unprocessable
from app.core.settings import Settings

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def account(redis: Redis, settings: Settings) -> None:
    await Accounts(redis, settings).add("bob", PASSWORD)


async def test_password_signs_in_and_out(anyone: httpx.AsyncClient, account: None) -> None:
    answer = await anyone.post("/api/session", json={"username": "bob", "password": PASSWORD})
    assert answer.status_code == httpx.codes.NO_CONTENT
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert (await anyone.get("/api/session")).json() == {"user": "bob", "name": "bob"}
    kept = dict(anyone.cookies)
    assert (await anyone.delete("/api/session")).status_code == httpx.codes.NO_CONTENT
    # The session is gone, not just the cookie.
    again = await anyone.get("/api/session", headers={"Cookie": "; ".join(f"{k}={v}" for k, v in kept.items())})
    assert (again.status_code, again.json()["code"]) == (401, "signed_out")


@pytest.mark.parametrize("given", [("bob", "wrong password"), ("nobody", PASSWORD), ("bob", "x" * 100_000)])
async def test_wrong_name_and_wrong_password_look_the_same(
    anyone: httpx.AsyncClient, account: None, given: tuple[str, str]
) -> None:
    answer = await anyone.post("/api/session", json={"username": given[0], "password": given[1]})
    if len(given[1]) > 65536:
        assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
        return
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_password")
    assert "set-cookie" not in answer.headers


async def test_link_signs_in_once_even_if_two_race_for_it(
    anyone: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    token = await Sessions(redis, settings).link("carol")
    answers = await asyncio.gather(*(anyone.post("/api/session", json={"link": token}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [204, 401, 401, 401, 401]
    assert (await anyone.get("/api/session")).json()["user"] == "carol"


async def test_change_that_another_site_asks_for_is_refused(
    anyone: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    token = await Sessions(redis, settings).link("carol")
    await anyone.post("/api/session", json={"link": token})
    foreign = {"Origin": "https://evil.example"}
    for answer in (
        await anyone.post("/api/projects", json={"text": "Hello."}, headers=foreign),
        await anyone.delete("/api/session", headers=foreign),
        await anyone.post("/api/session", json={"link": "x"}, headers=foreign),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    own = {"Origin": str(anyone.base_url).rstrip("/")}
    assert (await anyone.post("/api/projects", json={"text": "Hello."}, headers=own)).status_code == 201


async def test_account_is_made_once_and_only_with_a_usable_name_and_password(redis: Redis, settings: Settings) -> None:
    accounts = Accounts(redis, settings)
    for name, password in [
        ("", PASSWORD),
        ("a b", PASSWORD),
        ("../x", PASSWORD),
        ("bob", "short"),
        ("bob", "x" * 2000),
    ]:
        with pytest.raises(Unprocessable):
            await accounts.add(name, password)
    made = await asyncio.gather(*(accounts.add("bob", PASSWORD + str(n)) for n in range(3)), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in made) == 2


async def test_no_secret_is_kept_as_it_is(anyone: httpx.AsyncClient, account: None, redis: Redis) -> None:
    await anyone.post("/api/session", json={"username": "bob", "password": PASSWORD})
    secrets = [PASSWORD, *anyone.cookies.values()]
    assert len(secrets) == 3
    for key in await redis.keys("*"):
        kind = await redis.type(key)
        content = await redis.hgetall(key) if kind == b"hash" else await redis.dump(key)
        assert not any(secret in f"{key!r}{content!r}" for secret in secrets)
