"""What is really answered and sent is what the description says, to the last field."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.auth.bearer_tokens import Tokens
from app.auth.sessions import Sessions
from app.core.jobs.service import Claim
from app.core.json_model import compact
from app.core.projects.service import audio_record
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage
from app.openapi.document import document
from app.routes import ROUTES
from tests.conftest import serve
from tests.openapi.contract import Contract
from tests.support import Client, HandWorker

VOICES = {"engine": "espeak", "voices": {"en": [{"id": "en-us", "name": "English"}]}}


@pytest.fixture
def contract(settings: Settings) -> Contract:
    return Contract(document(ROUTES, settings))


@asynccontextmanager
async def held(address: str, contract: Contract, headers: dict[str, str] | None = None) -> AsyncIterator[Client]:
    """A client each of whose answers is held against the description."""
    async with httpx.AsyncClient(
        base_url=address,
        headers=headers,
        event_hooks={"response": [contract.check]},
        trust_env=False,
        timeout=30,
    ) as http:
        yield Client(http)


@pytest.fixture
async def alice(address: str, settings: Settings, contract: Contract) -> AsyncIterator[Client]:
    token = Tokens(settings.signing_key()).sign("alice", 3600)
    async with held(address, contract, {"Authorization": f"Bearer {token}"}) as client:
        yield client


@pytest.fixture
async def project(alice: Client, worker: HandWorker) -> dict[str, Any]:
    created = await alice.create("Some text.", title="A book")
    await worker.parse("alice", created["job"], chapters=2)
    return await alice.project(created["id"])


async def narrated(alice: Client, worker: HandWorker, project: dict[str, Any], store: Storage) -> str:
    """The first chapter's audio is made; its address."""
    chapter = project["chapters"][0]["id"]
    claim = await worker.start("alice", await alice.narrate(project["id"], chapter))
    await worker.advance(claim, 1, 2)
    name = f"{project['id']}-{chapter}-{claim.job.id}"
    await store.put(paths.audio_path("alice", name), b"sound" * 100)
    _, _, digest = await worker.projects.text("alice", project["id"], chapter)
    record = audio_record("alice", chapter, name, 1.5, digest)
    await worker.jobs.complete(claim, {"audioUrl": f"/audios/{name}.mp3", "durationSeconds": 1.5}, record)
    return f"/audios/{name}.mp3"


async def test_projects_chapters_and_jobs_in_every_state(
    alice: Client, worker: HandWorker, project: dict[str, Any], storage: Storage
) -> None:
    await narrated(alice, worker, project, storage)
    one, other = (f"/api/projects/{project['id']}/chapters/{chapter['id']}" for chapter in project["chapters"])
    await alice.http.get("/api/projects")
    await alice.project(project["id"])
    await alice.http.get(one)
    await alice.http.patch(one, json={"title": "One", "text": "Another text."})
    await alice.http.patch(f"/api/projects/{project['id']}", json={"title": "Another", "voice": None})
    headers = {"Idempotency-Key": "press-1"}
    job = (await alice.http.post(f"{other}/audio", headers=headers, json={"language": "en"})).json()
    assert (await alice.http.post(f"{other}/audio", headers=headers)).status_code == 422
    await alice.http.post(f"/api/projects/{project['id']}/audio")
    url = f"/api/jobs/audio-generation/{job['id']}"
    active = await worker.start("alice", job)
    etag = (await alice.http.get(url, headers={"Prefer": "wait=1"})).headers["etag"]
    assert (await alice.http.get(url, headers={"If-None-Match": etag})).status_code == httpx.codes.NOT_MODIFIED
    await worker.jobs.fail(active, "tts_unreachable", "The voice service cannot be reached.")
    assert (await alice.http.get(url)).json()["error"]["code"] == "tts_unreachable"
    await alice.http.delete(url)
    await alice.http.delete(f"/api/projects/{project['id']}")
    await alice.http.get(f"/api/projects/{project['id']}")


async def books_of(alice: Client, worker: HandWorker, project: dict[str, Any]) -> None:
    """A book of the project that comes to its end, one that fails, and one that is called off."""

    async def begun() -> tuple[dict[str, Any], Claim]:
        answer = await alice.http.post(
            f"/api/projects/{project['id']}/book", json={"format": "m4b", "allowMissing": True}
        )
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        job = dict(answer.json())
        return job, await worker.jobs.claim("alice", job["id"], "start")

    _, made = await begun()
    sizes = {"bytes": 9, "durationSeconds": 1.5, "chapters": 1, "missing": [2]}
    url = f"/books/{project['id']}-{'a' * 20}.m4b"
    await worker.jobs.complete(made, {"format": "m4b", "downloadUrl": url, **sizes}, {})
    _, lost = await begun()
    await worker.jobs.fail(lost, "worker_lost", "Lost.")
    called_off, _ = await begun()
    await alice.http.delete(f"/api/jobs/book-assembly/{called_off['id']}")


async def test_events_of_every_type_on_both_ways(
    alice: Client, worker: HandWorker, contract: Contract, project: dict[str, Any], storage: Storage
) -> None:
    await narrated(alice, worker, project, storage)
    await books_of(alice, worker, project)
    project = await alice.create("Some text.")
    await worker.parse("alice", project["job"], chapters=3)
    called_off = await alice.create("Some text.")
    await alice.http.delete(f"/api/jobs/text-parsing/{called_off['job']['id']}")
    broken = await alice.create("Some text.")
    await worker.jobs.fail(await worker.jobs.claim("alice", broken["job"]["id"], "read"), "not_text", "No text.")
    chapters = (await alice.project(project["id"]))["chapters"]
    made = [await worker.start("alice", await alice.narrate(project["id"], chapter["id"])) for chapter in chapters]
    await worker.finish(made[0])
    await worker.jobs.fail(made[1], "worker_lost", "Lost.")
    assert (await alice.http.post(f"/api/projects/{project['id']}/chapters/{chapters[1]['id']}/merge")).is_success
    await alice.http.delete(f"/api/jobs/audio-generation/{made[2].job.id}")
    polled = (await alice.poll(after="0-0", wait=0))["events"]
    assert {event["type"] for event in polled} == set(_types(contract, "Event", "type"))
    for event in polled:
        contract.check_event(event)
    async with alice.stream(params={"after": "0-0"}) as stream:
        events = [await stream.next("ready"), *(await stream.until("audio:cancelled")), await stream.next("heartbeat")]
    for event in events:
        contract.check_event(event)
    assert {event.event for event in events} >= {event["type"] for event in polled}


async def test_events_that_a_stream_alone_has(
    address: str, alice: Client, contract: Contract, settings: Settings, project: dict[str, Any]
) -> None:
    async with alice.stream(params={"after": "1-1"}) as stream:
        contract.check_event(await stream.next("reset"))
    assert (await alice.poll(after="1-1", wait=0))["reset"]["jobs"]
    brief = Tokens(settings.signing_key()).sign("alice", 20)
    async with held(address, contract, {"Authorization": f"Bearer {brief}"}) as client, client.stream() as stream:
        contract.check_event(await stream.next("reauth"))


def _types(contract: Contract, schema: str, field: str) -> list[str]:
    ways = contract.document["components"]["schemas"][schema]["oneOf"]
    return [way["properties"][field]["const"] for way in ways]


async def test_audio_whole_in_part_unchanged_and_beyond_its_end(
    alice: Client, worker: HandWorker, project: dict[str, Any], storage: Storage, contract: Contract
) -> None:
    url = await narrated(alice, worker, project, storage)
    etag = (await alice.http.get(url)).headers["etag"]
    await alice.http.get(url, headers={"Range": "bytes=0-9"})
    await alice.http.get(url, headers={"If-None-Match": etag})
    beyond = await alice.http.get(url, headers={"Range": "bytes=9999-"})
    assert (beyond.json()["code"], beyond.headers["content-range"]) == ("out_of_range", "bytes */500")
    assert {status for operation, status in contract.seen if operation == "audios_audio"} == {200, 206, 304, 416}


async def test_signing_in_and_out_and_what_is_told_without_a_credential(
    address: str, settings: Settings, redis: Redis, contract: Contract
) -> None:
    async with held(address, contract) as anyone:
        for path in ("/healthz", "/readyz", "/api/sign-in-options", "/openapi.json", "/auth/oidc/login"):
            await anyone.http.get(path)
        assert (await anyone.http.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
        wrong = await anyone.http.post("/api/session", json={"username": "alice", "password": "wrong"})
        assert wrong.status_code == httpx.codes.UNAUTHORIZED
        assert (await anyone.http.post("/api/session", json={"username": "alice"})).status_code == 422
        await anyone.http.post("/api/session", json={"link": await Sessions(redis, settings).link("alice")})
        await anyone.http.get("/api/session")
        [session] = (await anyone.http.get("/api/sessions")).json()["sessions"]
        await anyone.http.post("/api/events/tickets", json={"projects": []})
        assert (await anyone.http.get("/api/voices")).status_code == httpx.codes.SERVICE_UNAVAILABLE
        await redis.set(keys.VOICES, compact(VOICES))
        assert (await anyone.http.get("/api/voices")).json() == VOICES
        await anyone.http.delete(f"/api/sessions/{session['id']}")
        await anyone.http.delete("/api/session")


async def test_refusals_of_every_kind_are_problems_that_are_described(settings: Settings, contract: Contract) -> None:
    narrow = settings.model_copy(update={"max_json_bytes": 2048, "max_characters": 100, "max_projects": 1})
    bearer = {"Authorization": f"Bearer {Tokens(narrow.signing_key()).sign('alice', 60)}"}
    requests: list[tuple[int, str, str, dict[str, Any]]] = [
        (400, "POST", "/api/projects", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
        (400, "GET", "/api/events?after=", {}),
        (400, "GET", "/api/events?after=0-0&wait=1_0", {"headers": {"Accept": "application/json"}}),
        (400, "POST", "/api/projects/x/audio", {"headers": {"Idempotency-Key": "é".encode()}}),
        (401, "GET", "/api/projects?token=x", {}),
        (401, "GET", "/api/events?ticket=x", {}),
        (404, "PATCH", "/api/projects/x", {"json": {}}),
        (413, "POST", "/api/projects", {"json": {"text": "x" * 3000}}),
        (413, "POST", "/api/projects", {"files": {"file": ("a.txt", b"x" * 500)}}),
        (415, "POST", "/api/projects", {"content": b"x"}),
        (415, "POST", "/api/projects", {"files": {"file": ("a.exe", b"x")}}),
        (422, "POST", "/api/projects", {"json": {"text": "Hello.", "title": " \x00 "}}),
        (422, "POST", "/api/projects", {"files": {"file": ("a.txt", b"Hello.")}, "data": {"unknown": "x"}}),
        (422, "PATCH", "/api/projects/x", {"json": {"language": None}}),
        (422, "PATCH", "/api/projects/x", {"json": {"title": None}}),
        (201, "POST", "/api/projects", {"json": {"text": "Hello."}}),
        (429, "POST", "/api/projects", {"json": {"text": "Hello."}}),
    ]
    async with serve(narrow) as address, held(address, contract, bearer) as alice:
        for status, method, path, options in requests:
            answer = await alice.http.request(method, path, **options)
            assert answer.status_code == status, (method, path, options, answer.text)
