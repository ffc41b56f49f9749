"""A world for schemathesis: the application, and in it somebody who has a bit of everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.auth.bearer_tokens import Tokens
from app.auth.sessions import Sessions
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.json_model import compact
from app.core.projects.service import Projects, audio_record
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage
from tests.auth.issuers import listening
from tests.conftest import serve, signed_in
from tests.support import Client, HandWorker, NoDispatcher

_VOICES = {"engine": "espeak", "voices": {"en": [{"id": "en-us", "name": "English"}]}}
_PLENTY = {"max_changes_per_minute": 10**6, "max_uploads_per_minute": 10**6, "max_projects": 10**6, "admins": "alice"}
_MERGED = 60
_SOON = {"max_wait_seconds": 0.2}

Names = dict[str, str]
"""What schemathesis is told of the world, as environment variables."""


@asynccontextmanager
async def peopled(settings: Settings) -> AsyncIterator[tuple[str, Names]]:
    """The application's address, and what can be found in it; no limit is in the way, and waits are soon over."""
    async with listening(Starlette(routes=[Route("/.well-known/openid-configuration", _provider)])) as provider:
        wide = settings.model_copy(update={**_PLENTY, **_SOON, "oidc_issuer": provider, "oidc_client_id": "smartvoice"})
        async with serve(wide) as address, signed_in(address, wide, "alice") as alice:
            yield address, await _furnish(wide, alice)


async def _provider(request: Request) -> Response:
    """As much of an OpenID provider as is needed to be sent there."""
    own = str(request.base_url).rstrip("/")
    return JSONResponse({"issuer": own, "authorization_endpoint": f"{own}/login"})


async def _furnish(settings: Settings, alice: Client) -> Names:
    redis, store = connect(settings.redis), Storage.of(settings)
    jobs = Jobs(redis, EventLog(redis, settings), settings, NoDispatcher())
    worker = HandWorker(jobs, Projects(redis, store, jobs, settings))
    await redis.set(keys.VOICES, compact(_VOICES))
    for _ in range(2):
        await Sessions(redis, settings).start("alice", agent="A browser")
    names = await _narrated(alice, worker, store)
    await redis.hset(keys.project("alice", names["PROJECT"]), "coverType", "image/png")
    await store.put(paths.cover_path("alice", names["PROJECT"]), b"picture")
    names |= await _to_be_merged(alice, worker)
    for number in range(3):
        # To be deleted: what the others look at is to stay.
        names[f"DOOMED_{number}"] = (await alice.create("Some text."))["id"]
        names[f"DOOMED_SESSION_{number}"] = "0" * 20
    ended = (await alice.http.get("/api/sessions")).json()["sessions"]
    names |= {f"DOOMED_SESSION_{number}": session["id"] for number, session in enumerate(ended)}
    await redis.aclose()
    return {**names, "TOKEN": Tokens(settings.signing_key()).sign("alice", 3600)}


async def _narrated(alice: Client, worker: HandWorker, store: Storage) -> Names:
    """A project with two chapters, one of which has its audio."""
    project = await alice.create("Some text.", title="A book")
    await worker.parse("alice", project["job"], chapters=2)
    chapters: list[dict[str, Any]] = (await alice.project(project["id"]))["chapters"]
    one, other = (chapter["id"] for chapter in chapters)
    job = await alice.narrate(project["id"], one)
    claim = await worker.start("alice", job)
    name = f"{project['id']}-{one}-{claim.job.id}"
    await store.put(paths.audio_path("alice", name), b"sound" * 100)
    await store.put(paths.report_path("alice", name), b'{"segments": []}')
    book = f"{project['id']}-{'b' * 20}"
    for format in ("m4b", "zip"):
        await store.put(paths.book_path("alice", book, format), b"book" * 100)
    _, _, digest = await worker.projects.text("alice", project["id"], one)
    record = audio_record("alice", one, name, 1.5, digest)
    await worker.jobs.complete(claim, {"audioUrl": f"/audios/{name}.mp3", "durationSeconds": 1.5}, record)
    found = {"PROJECT": project["id"], "CHAPTER": one, "OTHER_CHAPTER": other, "AUDIO": name, "BOOK": book}
    return {**found, "PARSING": project["job"]["id"], "NARRATION": job["id"]}


async def _to_be_merged(alice: Client, worker: HandWorker) -> Names:
    """A project with many chapters: each that is merged is no more."""
    project = await alice.create("Some text.", title="Many chapters")
    await worker.parse("alice", project["job"], chapters=_MERGED)
    chapters: list[dict[str, Any]] = (await alice.project(project["id"]))["chapters"]
    ids = ", ".join(f'"{chapter["id"]}"' for chapter in chapters)
    return {"LONG": project["id"], "LONG_CHAPTERS": ids}
