"""The whole interface on a bucket: audio by link, a project that goes with its objects, a bucket that is away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path
from tests.conftest import serve, signed_in
from tests.gated_server import Door
from tests.s3 import SECRET, S3Server
from tests.support import Client, HandWorker, until

NAME = "-".join(["a" * 20, "b" * 20, "c" * 20])
URL = f"/audios/{NAME}.mp3"


@pytest.fixture
def settings(settings: Settings, s3: S3Server) -> Settings:
    """On a bucket, with audio by link."""
    place: dict[str, Any] = {**s3.settings(), "audio_delivery": "redirect", "audio_link_seconds": 30}
    return settings.model_copy(update={**place, "s3_secret_access_key": SecretStr(SECRET)})


async def test_audio_is_where_the_link_leads_and_only_its_owner_gets_one(
    settings: Settings, storage: Storage, alice: Client, mallory: Client, anyone: httpx.AsyncClient, s3: S3Server
) -> None:
    await storage.put(audio_path("alice", NAME), b"0123456789", "audio/mpeg")
    told = await alice.http.get(URL)
    assert (told.status_code, told.headers["cache-control"]) == (307, "no-store")
    assert "X-Amz-Expires=30" in told.headers["location"]
    assert SECRET not in told.headers["location"]
    assert f"media-src 'self' blob: {s3.endpoint};" in told.headers["content-security-policy"]
    sound = await anyone.get(told.headers["location"], headers={"Range": "bytes=4-"})
    assert (sound.status_code, sound.content, sound.headers["content-type"]) == (206, b"456789", "audio/mpeg")
    # A client that follows sends the credential of this site to no other.
    followed = await alice.http.get(URL, follow_redirects=True)
    assert followed.content == b"0123456789"
    assert "authorization" not in followed.request.headers
    assert (await alice.http.head(URL)).headers["content-length"] == "10"
    for other, status in ((mallory.http, 404), (anyone, 401)):
        refused = await other.get(URL)
        assert refused.status_code == status
        assert "location" not in refused.headers


async def test_deleted_project_leaves_nothing_in_the_bucket(
    storage: Storage, alice: Client, worker: HandWorker
) -> None:
    project = await alice.create("Some text.")
    await worker.parse("alice", project["job"], chapters=2)
    other = await alice.create("Other text.")
    [chapter, _] = (await alice.project(project["id"]))["chapters"]
    read = await alice.http.get(f"/api/projects/{project['id']}/chapters/{chapter['id']}")
    assert read.json()["text"] == "Text 1."
    assert (await alice.http.delete(f"/api/projects/{project['id']}")).status_code == httpx.codes.NO_CONTENT
    left = [file.path async for file in storage.files("u-alice")]
    assert left
    assert all(other["id"] in path for path in left)


@asynccontextmanager
async def _behind(door: Door, settings: Settings) -> AsyncIterator[Client]:
    reached = settings.model_copy(update={"s3_endpoint": door.address})
    async with serve(reached) as address, signed_in(address, reached, "alice") as alice:
        yield alice


async def test_bucket_that_is_away_is_told_and_got_over(settings: Settings, storage: Storage, s3: S3Server) -> None:
    await storage.put(audio_path("alice", NAME), b"0123456789")
    async with Door(s3.endpoint) as door, _behind(door, settings) as alice:
        assert (await alice.http.get("/readyz")).status_code == httpx.codes.OK
        await door.shut()

        async def not_ready() -> httpx.Response | None:
            # What was found a moment ago is not asked again.
            answer = await alice.http.get("/readyz")
            return answer if answer.status_code != httpx.codes.OK else None

        ready, created, audio = (
            await until(not_ready),
            await alice.http.post("/api/projects", json={"text": "Hello."}),
            await alice.http.get(URL),
        )
        for answer in (ready, created, audio):
            assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
            assert answer.headers["retry-after"] == "5"
        assert (await alice.http.get("/api/projects")).json() == {"projects": []}
        await door.open()

        async def ready_again() -> bool:
            return (await alice.http.get("/readyz")).status_code == httpx.codes.OK

        await until(ready_again)
        await alice.create("Hello.")
