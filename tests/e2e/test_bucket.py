"""The whole of SmartVoice with its files in a bucket, which goes away in the middle of a chapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.gated_server import Door
from tests.s3 import S3Server
from tests.stack import Stack, running
from tests.support import Client, until

TEXT = "The tide came in, and the tide went out, and nobody on the shore took any notice of it. " * 200


@pytest.fixture
async def door(s3: S3Server) -> AsyncIterator[Door]:
    async with Door(s3.endpoint) as door:
        yield door


@pytest.fixture
async def stack(door: Door, s3: S3Server) -> AsyncIterator[Stack]:
    place = {**s3.settings(), "s3_endpoint": door.address, "audio_delivery": "redirect"}
    stack = running(**{f"SMARTVOICE_{name.upper()}": str(value) for name, value in place.items()})
    # In a thread: the door is on this loop.
    yield await asyncio.to_thread(stack.__enter__)
    await asyncio.to_thread(stack.__exit__, None, None, None)


@pytest.mark.timeout(240)
async def test_chapter_is_narrated_though_its_bucket_goes_away(stack: Stack, door: Door) -> None:
    headers = {"Authorization": f"Bearer {await asyncio.to_thread(stack.token, 'alice')}"}
    async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=60) as http:
        alice = Client(http)
        project = await alice.create(TEXT)
        [chapter] = await until(lambda: _chapters(alice, project["id"]))
        job = await alice.narrate(project["id"], chapter["id"])
        await until(lambda: _stage(alice, job["id"], "synthesis"))
        await door.shut()
        doctor = asyncio.to_thread(stack.command, "doctor")
        with pytest.raises(AssertionError):
            await doctor
        await until(lambda: _stage(alice, job["id"], "retrying"))
        await door.open()
        await until(lambda: _stage(alice, job["id"], "done"), 100)
        [done] = await _chapters(alice, project["id"])
        sound = await http.get(done["audioUrl"], follow_redirects=True)
        assert (sound.status_code, sound.headers["content-type"]) == (200, "audio/mpeg")
        assert sound.request.url.host == "127.0.0.1"
        assert len(sound.content) > 10_000
        assert not [path for path in (stack.folder / "storage").rglob("*") if path.is_file()]
    assert "storage: s3://b-" in await asyncio.to_thread(stack.command, "doctor")


async def _chapters(alice: Client, project: str) -> list[dict[str, Any]]:
    return list((await alice.project(project))["chapters"])


async def _stage(alice: Client, job: str, stage: str) -> bool:
    found = (await alice.http.get(f"/api/jobs/audio-generation/{job}")).json()
    assert found["state"] != "failed", found
    return bool(found["progress"]["stage"] == stage)
