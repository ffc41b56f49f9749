"""The whole of SmartVoice with a voice service instead of the embedded voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.stack import Stack, running
from tests.support import Client, until
from tests.tts_server import TtsServer
from tests.tts_sound import seconds_of

BOOK = "第一章 海边\n\n清晨，海面上没有风。\n\nChapter 2: The Road\n\nThe road ran along the cliff.\n"


@pytest.fixture
async def server() -> AsyncIterator[TtsServer]:
    async with TtsServer(api_key="sk-secret") as server:
        yield server


@pytest.fixture
async def served(server: TtsServer) -> AsyncIterator[Stack]:
    settings = {
        "SMARTVOICE_TTS_ENGINE": "openai",
        "SMARTVOICE_TTS_URL": server.url,
        "SMARTVOICE_TTS_API_KEY": "sk-secret",
    }
    stack = running(**settings)
    # In a thread: the service answers on this loop while the stack starts and stops.
    yield await asyncio.to_thread(stack.__enter__)
    await asyncio.to_thread(stack.__exit__, None, None, None)


@pytest.fixture
async def alice(served: Stack) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {await asyncio.to_thread(served.token, 'alice')}"}
    async with httpx.AsyncClient(base_url=served.address, headers=headers, trust_env=False, timeout=60) as client:
        yield Client(client)


async def test_chapters_are_spoken_by_the_service_once_for_each_segment(
    served: Stack, server: TtsServer, alice: Client
) -> None:
    server.misbehave("busy", "html")
    told = await until(lambda: _voices(alice))
    assert told["engine"] == "openai"
    assert "nova" in [voice["id"] for voice in told["voices"]["mul"]]
    assert "✗" not in await asyncio.to_thread(served.command, "doctor")
    project = await alice.create(BOOK, language="zh-CN", voice="nova")
    await until(lambda: _chapters(alice, project["id"]))
    await alice.http.post(f"/api/projects/{project['id']}/audio")
    chapters = await until(lambda: _narrated(alice, project["id"]))
    assert [chapter["title"] for chapter in chapters] == ["第一章 海边", "Chapter 2: The Road"]
    assert sum(chapter["durationSeconds"] for chapter in chapters) > sum(map(seconds_of, server.calls))
    assert server.requests == len(server.calls) + 2
    assert {call.body["voice"] for call in server.heard} == {"nova"}


async def _voices(alice: Client) -> dict[str, Any] | None:
    answer = await alice.http.get("/api/voices")
    return dict(answer.json()) if answer.is_success else None


async def _chapters(alice: Client, project: str) -> list[dict[str, Any]]:
    return list((await alice.project(project))["chapters"])


async def _narrated(alice: Client, project: str) -> list[dict[str, Any]]:
    """The chapters, once all of them have their audio."""
    chapters = await _chapters(alice, project)
    assert "failed" not in {chapter["job"]["state"] for chapter in chapters if chapter["job"]}, chapters
    return chapters if all(chapter["audioUrl"] for chapter in chapters) else []
