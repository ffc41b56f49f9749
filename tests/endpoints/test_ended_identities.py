"""Identities that are no more: their streams end within a second, and nothing of theirs lets anybody in again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr
from redis.asyncio import Redis

from app.auth.accounts import Accounts
from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import DisabledUsers
from app.auth.keyring import Keyring
from app.auth.sessions import Sessions
from app.auth.user_ids import outsider_id
from app.cli import users
from app.core.errors import NotFound
from app.core.keyfile import remove, rotate
from app.core.redis import keys
from app.core.redis.client import names
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage
from tests.conftest import serve, signed_in
from tests.endpoints.test_sessions import PASSWORD, browser
from tests.support import Client, HandWorker

PROVIDER = "https://login.example"
SECRET = "a secret that only this test knows"


def shared(subject: str) -> str:
    """A token of the other issuer."""
    claims = {"sub": subject, "iss": "issuer", "iat": int(time.time()), "exp": int(time.time()) + 3600}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET), ["HS256"])


@pytest.fixture
async def addresses(settings: Settings) -> AsyncIterator[list[str]]:
    """Two web processes' worth of application on one Redis and one folder."""
    async with serve(settings) as first, serve(settings) as second:
        yield [first, second]


def bearer(address: str, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, timeout=30)


async def test_removed_key_ends_the_streams_and_polls_of_what_it_signed_in_every_process(
    addresses: list[str], settings: Settings, redis: Redis
) -> None:
    former = Keyring.of(settings).signing
    old = Tokens(Keyring.of(settings)).sign("alice", 3600)
    rotate(settings.key_file)
    new = Tokens(Keyring.of(settings)).sign("alice", 3600)
    async with AsyncExitStack() as stack:
        ending = [Client(await stack.enter_async_context(bearer(address, old))) for address in addresses]
        staying = [Client(await stack.enter_async_context(bearer(address, new))) for address in addresses]
        page = await stack.enter_async_context(browser(addresses[0], redis, settings, "alice"))
        streams = [await stack.enter_async_context(client.stream()) for client in [*ending, *staying, page]]
        for stream in streams:
            await stream.next("ready")
        ticket = (await ending[0].http.post("/api/events/tickets")).json()["ticket"]
        assert remove(settings.key_file, former.id)
        removed = time.monotonic()
        for stream in streams[:2]:
            assert "goodbye" not in {event.event for event in await stream.ends()}
        print(f"ended {time.monotonic() - removed:.2f} s after the key was removed")
        for client in ending:
            assert (await client.http.get("/api/session")).json()["code"] == "bad_token"
        answer = await page.http.get("/api/events", params={"ticket": ticket})
        assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")
        # What other keys signed, and who came in by cookie, goes on.
        await page.create()
        for stream in streams[2:]:
            assert (await stream.next("parse:progress")).event == "parse:progress"


async def test_nothing_of_an_issuer_that_was_taken_out_of_the_settings_holds(settings: Settings, redis: Redis) -> None:
    known = settings.model_copy(
        update={"jwt_secret": SecretStr(SECRET), "jwt_issuer": "issuer", "oidc_issuer": PROVIDER}
    )
    person = outsider_id(PROVIDER, "carol")
    cookie = await Sessions(redis, known).start(person)
    headers = {"Cookie": f"smartvoice_session={cookie}"}
    async with serve(known) as address, bearer(address, shared("dave")) as script:
        ticket = (await script.post("/api/events/tickets")).json()["ticket"]
        async with httpx.AsyncClient(base_url=address, trust_env=False) as page:
            assert (await page.get("/api/session", headers=headers)).json()["user"] == person
    async with serve(settings) as address, bearer(address, shared("dave")) as script:
        assert (await script.get("/api/session")).json()["code"] == "bad_token"
        async with httpx.AsyncClient(base_url=address, trust_env=False) as page:
            for options in ({"headers": headers}, {"params": {"ticket": ticket}}):
                answer = await page.get("/api/events", **options)
                assert (answer.status_code, answer.json()["code"]) == (401, "signed_out")


async def test_removed_account_is_gone_with_all_that_was_its_users(
    addresses: list[str], settings: Settings, redis: Redis, worker: HandWorker, storage: Storage
) -> None:
    await Accounts(redis, settings).add("alice", PASSWORD)
    async with (
        browser(addresses[0], redis, settings, "alice") as page,
        signed_in(addresses[1], settings, "alice") as script,
        signed_in(addresses[1], settings, "alice2") as bob,
        page.stream() as first,
        script.stream() as second,
        bob.stream() as other,
    ):
        project = await page.create("Some text.")
        await worker.parse("alice", project["job"], chapters=2)
        chapter = (await page.project(project["id"]))["chapters"][0]
        await page.narrate(project["id"], chapter["id"])
        kept = await bob.create("Some text.")
        link = await Sessions(redis, settings).link("alice")
        assert await users.projects_of(settings, "alice") == 1
        await users.remove(settings, "alice")
        for stream in (first, second):
            await stream.ends()
        for client in (page, script):
            assert (await client.http.get("/api/projects")).json()["code"] == "signed_out"
        assert (await page.http.post("/api/session", json={"link": link})).json()["code"] == "link_used"
        answer = await page.http.post("/api/session", json={"username": "alice", "password": PASSWORD})
        assert answer.json()["code"] == "bad_password"
        assert (await bob.project(kept["id"]))["id"] == kept["id"]
        assert (await other.next("parse:progress")).event == "parse:progress"
    await nothing_is_left(redis, storage, project["id"])
    with pytest.raises(NotFound):
        await users.remove(settings, "alice")
    # Whoever has the name next begins with nothing.
    await users.add(settings, "alice", PASSWORD)
    async with signed_in(addresses[0], settings, "alice") as next_one:
        assert (await next_one.http.get("/api/projects")).json() == {"projects": []}
        assert (await next_one.create())["id"]


async def nothing_is_left(redis: Redis, store: Storage, project: str) -> None:
    """But marks: that what was issued before holds no longer, that this project is deleted, which epochs there were."""
    left = set(names(await redis.keys(keys.all_of_user("alice"))))
    assert left <= {keys.access("alice"), keys.user("alice"), keys.deleted("alice", project)}
    assert await redis.hgetall(keys.access("alice")) == {
        b"notBefore": await redis.hget(keys.access("alice"), "notBefore")
    }
    for prefix in paths.user_prefixes("alice"):
        assert [file async for file in store.files(prefix)] == []


async def test_removal_that_was_cut_off_leaves_nobody_in_and_is_given_again(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Accounts(redis, settings).add("alice", PASSWORD)

    async def away(self: Storage, prefix: str) -> None:
        raise ConnectionError("the storage is away")

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "delete_all", away)
        with pytest.raises(Exception, match=r"away|reached"):
            await users.remove(settings, "alice")
    assert await DisabledUsers(redis).disabled("alice")
    await users.remove(settings, "alice")
    assert not await DisabledUsers(redis).disabled("alice")
    assert await users.all_accounts(settings) == []
