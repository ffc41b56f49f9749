"""Stream tickets: good for one stream, once, soon, and no longer than what they were got with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import DisabledUsers
from app.auth.sessions import Sessions
from app.core.redis import keys
from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.support import Client, data, until


async def ticket(client: httpx.AsyncClient, **body: object) -> str:
    answer = await client.post("/api/events/tickets", json=body)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["ticket"])


async def refused(client: httpx.AsyncClient, token: str, path: str = "/api/events") -> str:
    answer = await client.get(path, params={"ticket": token})
    assert answer.status_code == httpx.codes.UNAUTHORIZED, answer.text
    return str(answer.json()["code"])


@pytest.fixture
async def page(anyone: httpx.AsyncClient, redis: Redis, settings: Settings) -> httpx.AsyncClient:
    """A browser in which alice is signed in."""
    await anyone.post("/api/session", json={"link": await Sessions(redis, settings).link("alice")})
    return anyone


@pytest.fixture
async def elsewhere(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without any credential, on another origin as it were."""
    async with httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as client:
        yield client


async def test_ticket_opens_one_stream_once(alice: Client, elsewhere: httpx.AsyncClient) -> None:
    answer = await alice.http.post("/api/events/tickets")
    told = answer.json()
    assert answer.status_code == httpx.codes.CREATED
    assert answer.headers["cache-control"] == "no-store"
    assert 0 < datetime.fromisoformat(told["expiresAt"]).timestamp() - time.time() <= 31
    async with Client(elsewhere).stream(params={"ticket": told["ticket"]}) as stream:
        await stream.next("ready")
        await alice.create()
        assert (await stream.next()).event == "parse:progress"
        assert await refused(elsewhere, told["ticket"]) == "ticket_used"


async def test_of_many_who_race_with_one_ticket_one_gets_in(alice: Client, elsewhere: httpx.AsyncClient) -> None:
    token = await ticket(alice.http)
    polls = (
        elsewhere.get("/api/events", params={"ticket": token}, headers={"Accept": "application/json"})
        for _ in range(10)
    )
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*polls))
    assert statuses == [200] + [401] * 9


async def test_ticket_that_is_late_is_refused(settings: Settings, redis: Redis) -> None:
    hasty = settings.model_copy(update={"ticket_seconds": 0.05})
    async with (
        serve(hasty) as address,
        signed_in(address, hasty, "alice") as alice,
        httpx.AsyncClient(base_url=address, trust_env=False) as elsewhere,
    ):
        token = await ticket(alice.http)

        async def gone() -> bool:
            return not await redis.exists(keys.ticket(token))

        await until(gone)
        assert await refused(elsewhere, token) == "ticket_used"


async def test_ticket_is_for_the_stream_alone(alice: Client, elsewhere: httpx.AsyncClient) -> None:
    token = await ticket(alice.http)
    for path in ("/api/projects", "/api/session", "/api/sessions", "/api/voices"):
        assert await refused(elsewhere, token, path) == "unauthenticated"
    answer = await elsewhere.post("/api/events/tickets", params={"ticket": token})
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert (await elsewhere.head("/api/events", params={"ticket": token})).status_code == httpx.codes.UNAUTHORIZED
    # None of that has spent it.
    answer = await elsewhere.get("/api/events", params={"ticket": token}, headers={"Accept": "application/json"})
    assert answer.status_code == httpx.codes.OK


async def test_ticket_of_a_sign_in_that_is_over_is_refused(
    page: httpx.AsyncClient, elsewhere: httpx.AsyncClient
) -> None:
    token = await ticket(page)
    await page.delete("/api/session")
    assert await refused(elsewhere, token) == "signed_out"
    assert await refused(elsewhere, token) == "ticket_used"


async def test_ticket_of_a_disabled_user_is_refused(alice: Client, elsewhere: httpx.AsyncClient, redis: Redis) -> None:
    token = await ticket(alice.http)
    await DisabledUsers(redis).disable("alice")
    assert await refused(elsewhere, token) == "signed_out"


async def test_stream_of_a_ticket_ends_with_the_sign_in(page: httpx.AsyncClient, elsewhere: httpx.AsyncClient) -> None:
    async with Client(elsewhere).stream(params={"ticket": await ticket(page)}) as stream:
        await stream.next("ready")
        await page.delete("/api/session")
        assert {event.event for event in await stream.ends()} <= {"heartbeat"}


async def test_stream_of_a_ticket_ends_with_the_token(
    address: str, elsewhere: httpx.AsyncClient, settings: Settings
) -> None:
    token = Tokens(settings.signing_key()).sign("alice", 3)
    answer = await elsewhere.post("/api/events/tickets", headers={"Authorization": f"Bearer {token}"})
    async with Client(elsewhere).stream(params={"ticket": answer.json()["ticket"]}) as stream:
        assert "reauth" in {event.event for event in await stream.ends()}


async def test_ticket_for_a_project_shows_that_project_alone(
    alice: Client, mallory: Client, elsewhere: httpx.AsyncClient
) -> None:
    first, second = await alice.create(), await alice.create()
    foreign = await mallory.create()
    for projects in ([foreign["id"]], [first["id"], foreign["id"]], ["0" * 20]):
        answer = await alice.http.post("/api/events/tickets", json={"projects": projects})
        assert answer.status_code == httpx.codes.NOT_FOUND
    beyond = {"ticket": await ticket(alice.http, projects=[first["id"]]), "project": second["id"]}
    assert (await elsewhere.get("/api/events", params=beyond)).status_code == httpx.codes.NOT_FOUND
    start = {"after": first["job"]["version"].partition("-")[0] + "-0"}
    narrow = {"ticket": await ticket(alice.http, projects=[first["id"]])} | start
    answer = await elsewhere.get("/api/events", params=narrow, headers={"Accept": "application/json"})
    assert {data(event)["projectId"] for event in answer.json()["events"]} == {first["id"]}


async def test_token_in_place_of_a_ticket_is_refused(elsewhere: httpx.AsyncClient, settings: Settings) -> None:
    for token in (Tokens(settings.signing_key()).sign("alice", 60), "", "x" * 4000, "名"):
        assert await refused(elsewhere, token) == "ticket_used"
    answer = await elsewhere.get("/api/events?ticket=%ED%A0%80&project=%00")
    assert answer.status_code == httpx.codes.UNAUTHORIZED


async def test_ticket_with_a_body_that_makes_no_sense_is_refused(alice: Client) -> None:
    bodies: list[object] = [{"projects": "all"}, {"other": 1}, [], {"projects": [1]}]
    for body in bodies:
        assert (await alice.http.post("/api/events/tickets", json=body)).status_code == 422
    assert (await alice.http.post("/api/events/tickets", json={"projects": ["x"] * 1001})).status_code == 400


async def test_ticket_is_kept_as_a_digest_and_told_to_no_log(
    alice: Client, elsewhere: httpx.AsyncClient, redis: Redis
) -> None:
    with capture_logs() as lines:
        token = await ticket(alice.http)
        for key in await redis.keys("sv:ticket:*"):
            assert token not in f"{key!r}{await redis.get(key)!r}"
        await elsewhere.get("/api/events", params={"ticket": token}, headers={"Accept": "application/json"})
        await refused(elsewhere, token)
    assert token not in str(lines)
    assert [line["event"] for line in lines if line.get("logger") == "audit"] == ["ticket_refused"]
