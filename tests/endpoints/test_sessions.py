"""Sign-ins as a list, and how everything that was opened by one ends with it, in every process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.accounts import Accounts
from app.auth.disabled_users import DisabledUsers
from app.auth.sessions import Sessions
from app.cli import users
from app.core.redis import keys
from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.support import Client, until

PASSWORD = "correct horse battery staple"


@asynccontextmanager
async def browser(address: str, redis: Redis, settings: Settings, user: str, **headers: str) -> AsyncIterator[Client]:
    """A client that has signed in and holds a cookie."""
    link = await Sessions(redis, settings).link(user)
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=30) as http:
        answer = await http.post("/api/session", json={"link": link})
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
        yield Client(http)


@pytest.fixture
async def addresses(settings: Settings) -> AsyncIterator[list[str]]:
    """Two web processes' worth of application on one Redis."""
    async with serve(settings) as first, serve(settings) as second:
        yield [first, second]


async def test_sign_ins_are_listed_and_ended_one_by_one(address: str, redis: Redis, settings: Settings) -> None:
    async with (
        browser(address, redis, settings, "alice", **{"User-Agent": "Firefox on a desk"}) as desk,
        browser(address, redis, settings, "alice", **{"User-Agent": "x" * 5000}) as phone,
        browser(address, redis, settings, "mallory") as mallory,
    ):
        listed = (await desk.http.get("/api/sessions")).json()["sessions"]
        assert len(listed) == 2
        [other] = [session for session in listed if not session["current"]]
        [mine] = [session for session in listed if session["current"]]
        assert mine["userAgent"] == "Firefox on a desk"
        assert len(other["userAgent"]) == 200
        assert {"id", "createdAt", "lastUsedAt", "expiresAt"} < mine.keys()
        cookies = [*desk.http.cookies.values(), *phone.http.cookies.values()]
        assert not any(cookie in str(listed) for cookie in cookies)
        for id in (other["id"], "0" * 20):
            assert (await mallory.http.delete(f"/api/sessions/{id}")).status_code == httpx.codes.NOT_FOUND
        assert (await desk.http.delete(f"/api/sessions/{other['id']}")).status_code == httpx.codes.NO_CONTENT
        assert (await phone.http.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        assert (await desk.http.delete(f"/api/sessions/{other['id']}")).status_code == httpx.codes.NOT_FOUND
        assert (await desk.http.delete(f"/api/sessions/{mine['id']}")).status_code == httpx.codes.NO_CONTENT
        assert (await desk.http.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        assert (await mallory.http.get("/api/session")).status_code == httpx.codes.OK


async def test_only_so_many_sign_ins_of_a_user_stay(redis: Redis, settings: Settings) -> None:
    sessions = Sessions(redis, settings)
    tokens = [await sessions.start("alice") for _ in range(103)]
    assert len(await sessions.all("alice")) == 100
    assert (await sessions.find(tokens[-1])).user == "alice"
    assert await redis.zcard(keys.sessions("alice")) == 100


async def test_session_that_was_used_long_ago_is_noted_as_used_unless_it_ended_meanwhile(
    redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions = Sessions(redis, settings)
    token = await sessions.start("alice")
    before = await sessions.find(token)
    monkeypatch.setattr("app.auth.sessions._COARSE_SECONDS", 0.0)
    assert (await sessions.find(token)).used == before.used
    assert (await sessions.find(token)).used > before.used
    assert 0 < await redis.ttl(keys.session(before.digest)) <= sessions.seconds
    await sessions.end(token)
    await sessions._touch(before, "192.0.2.1")
    assert not await redis.exists(keys.session(before.digest))


async def test_signing_out_ends_the_users_streams_in_every_process(
    addresses: list[str], redis: Redis, settings: Settings
) -> None:
    async with (
        browser(addresses[0], redis, settings, "alice") as here,
        browser(addresses[1], redis, settings, "alice") as elsewhere,
        signed_in(addresses[1], settings, "alice") as script,
        httpx.AsyncClient(base_url=addresses[1], cookies=here.http.cookies, trust_env=False) as there,
        AsyncExitStack() as stack,
    ):
        clients = [here, Client(there), elsewhere, script]
        streams = [await stack.enter_async_context(client.stream()) for client in clients]
        for stream in streams:
            await stream.next("ready")
        assert (await here.http.delete("/api/session")).status_code == httpx.codes.NO_CONTENT
        for stream in streams[:2]:
            assert {event.event for event in await stream.ends()} <= {"heartbeat"}
        assert (await there.get("/api/events")).status_code == httpx.codes.UNAUTHORIZED
        # Who signed in by themselves is sent away as well, and may come back at once.
        for stream in streams[2:]:
            assert (await stream.ends())[-1].event == "goodbye"
        for client in clients[2:]:
            async with client.stream() as stream:
                assert (await stream.next()).event == "ready"


@pytest.mark.parametrize("what", ["passwd", "disable"])
async def test_new_password_and_disablement_end_all_that_the_user_has_open(
    addresses: list[str], redis: Redis, settings: Settings, what: str
) -> None:
    await Accounts(redis, settings).add("alice", PASSWORD)
    async with (
        browser(addresses[0], redis, settings, "alice") as page,
        signed_in(addresses[1], settings, "alice") as script,
        signed_in(addresses[1], settings, "bob") as bob,
        page.stream() as first,
        script.stream() as second,
        bob.stream() as other,
    ):
        for stream in (first, second, other):
            await stream.next("ready")
        if what == "passwd":
            await users.set_password(settings, "alice", PASSWORD + "!")
        else:
            assert await users.disable(settings, "alice")
        await first.ends()
        await second.ends()
        codes = [(await client.http.get("/api/projects")).json()["code"] for client in (page, script)]
        assert codes == (["signed_out"] * 2 if what == "passwd" else ["signed_out", "account_disabled"])
        await bob.create()
        assert (await other.next()).event == "parse:progress"
    async with signed_in(addresses[0], settings, "alice") as again:
        expected = httpx.codes.OK if what == "passwd" else httpx.codes.UNAUTHORIZED
        assert (await again.http.get("/api/projects")).status_code == expected
        if what == "disable":
            await users.enable(settings, "alice")
            assert (await again.http.get("/api/projects")).status_code == httpx.codes.OK


async def test_waiting_polls_end_with_the_sign_in(address: str, redis: Redis, settings: Settings) -> None:
    async with browser(address, redis, settings, "alice") as page:
        project = await page.create()
        cursor = (await page.poll())["cursor"]
        job = project["job"]
        etag = (await page.http.get(f"/api/jobs/text-parsing/{job['id']}")).headers["etag"]
        polls = [
            asyncio.create_task(
                page.http.get(f"/api/events?after={cursor}&wait=50", headers={"Accept": "application/json"})
            ),
            asyncio.create_task(
                page.http.get(
                    f"/api/jobs/text-parsing/{job['id']}", headers={"Prefer": "wait=50", "If-None-Match": etag}
                )
            ),
        ]
        channel = keys.channel("alice")

        async def heard() -> bool:
            return bool(dict(await redis.pubsub_numsub(channel))[channel.encode()])

        await until(heard)
        await users.disable(settings, "alice")
        for answer in await asyncio.gather(*polls):
            assert (answer.status_code, answer.json()["code"]) in {(401, "signed_out"), (401, "account_disabled")}


async def test_message_that_was_missed_is_made_good_when_the_connection_is(
    address: str, redis: Redis, settings: Settings
) -> None:
    async with (
        browser(address, redis, settings, "alice") as gone,
        browser(address, redis, settings, "alice") as stays,
        gone.stream() as ending,
        stays.stream() as staying,
    ):
        await ending.next("ready")
        await staying.next("ready")
        [cookie] = [value for name, value in gone.http.cookies.items() if "session" in name]
        # As if it had been told while the connection was cut.
        await redis.delete(keys.session(keys.digest(cookie)))
        await redis.client_kill_filter(_type="pubsub")
        await ending.ends()
        await stays.create()
        assert (await staying.next()).event == "parse:progress"


async def test_sign_in_that_races_with_disablement_does_not_survive_it(redis: Redis, settings: Settings) -> None:
    sessions, access = Sessions(redis, settings), DisabledUsers(redis)
    token = await sessions.start("alice")
    await access.revoke("alice")
    async with serve(settings) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        answer = await http.get("/api/session", headers={"Cookie": f"smartvoice_session={token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")


async def test_account_is_listed_and_its_user_signed_in_by_a_link(
    address: str, redis: Redis, settings: Settings
) -> None:
    await users.add(settings, "bob", PASSWORD)
    await users.add(settings, "alice", PASSWORD)
    await users.disable(settings, "bob")
    assert [(one.name, one.disabled) for one in await users.all_accounts(settings)] == [("alice", False), ("bob", True)]
    token = (await users.link(settings, "alice")).partition("#link=")[2]
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        assert (await http.post("/api/session", json={"link": token})).status_code == httpx.codes.NO_CONTENT


async def test_changes_of_accounts_are_in_the_audit_log(redis: Redis, settings: Settings) -> None:
    with capture_logs() as lines:
        await users.add(settings, "alice", PASSWORD)
        await users.set_password(settings, "alice", PASSWORD + "!")
        await users.disable(settings, "alice")
        await users.enable(settings, "alice")
        link = await users.link(settings, "alice")
    told = [(line["event"], line["user"]) for line in lines if line.get("logger") == "audit"]
    assert told == [
        ("account_added", "alice"),
        ("password_changed", "alice"),
        ("account_disabled", "alice"),
        ("account_enabled", "alice"),
        ("link_made", "alice"),
    ]
    assert PASSWORD not in str(lines)
    assert link.partition("#link=")[2] not in str(lines)


async def test_signing_in_again_ends_the_browsers_former_session(
    addresses: list[str], redis: Redis, settings: Settings
) -> None:
    async with browser(addresses[0], redis, settings, "mallory") as page, page.stream() as stream:
        await stream.next("ready")
        former = page.http.cookies["smartvoice_session"]
        link = await Sessions(redis, settings).link("alice")
        with capture_logs() as lines:
            assert (await page.http.post("/api/session", json={"link": link})).status_code == httpx.codes.NO_CONTENT
        await stream.ends()
        assert (await page.http.get("/api/session")).json()["user"] == "alice"
        assert page.http.cookies["smartvoice_session"] != former
        async with httpx.AsyncClient(base_url=addresses[1], trust_env=False) as thief:
            answer = await thief.get("/api/session", headers={"Cookie": f"smartvoice_session={former}"})
            assert answer.json()["code"] == "signed_out"
    told = [(line["event"], line["user"], line["reason"]) for line in lines if line.get("logger") == "audit"]
    assert told == [("signed_in", "alice", "link"), ("signed_out", "mallory", "signed_in_again")]


async def test_failing_to_sign_in_again_ends_nothing(address: str, redis: Redis, settings: Settings) -> None:
    async with browser(address, redis, settings, "alice") as page:
        answer = await page.http.post("/api/session", json={"username": "alice", "password": "wrong"})
        assert answer.status_code == httpx.codes.UNAUTHORIZED
        assert (await page.http.get("/api/session")).json()["user"] == "alice"


async def test_all_other_browsers_are_signed_out_at_once(
    addresses: list[str], redis: Redis, settings: Settings
) -> None:
    async with (
        browser(addresses[0], redis, settings, "alice") as mine,
        browser(addresses[1], redis, settings, "alice") as second,
        browser(addresses[1], redis, settings, "alice") as third,
        browser(addresses[1], redis, settings, "mallory") as mallory,
        second.stream() as stream,
    ):
        await stream.next("ready")
        listed = (await mine.http.get("/api/sessions")).json()["sessions"]
        assert {session["address"] for session in listed} == {"127.0.0.1"}
        assert (await mine.http.delete("/api/sessions")).status_code == httpx.codes.NO_CONTENT
        await stream.ends()
        for client in (second, third):
            assert (await client.http.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        assert [one["current"] for one in (await mine.http.get("/api/sessions")).json()["sessions"]] == [True]
        assert (await mallory.http.get("/api/session")).status_code == httpx.codes.OK
