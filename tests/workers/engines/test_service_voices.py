"""Which voices a voice service has, and which of them reads what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.core.errors import JobError
from tests.stack import free_port
from tests.tts_server import TtsServer
from workers.engines.openai import OpenAi, Service
from workers.engines.service_voices import OPENAI_VOICES, named_voices
from workers.speech.engine import Voice


@pytest.fixture
async def server() -> AsyncIterator[TtsServer]:
    async with TtsServer() as server:
        yield server


async def told(server: TtsServer, **service: Any) -> list[Voice]:
    """The voices that an engine finds at the server; a second time it does not ask."""
    engine = OpenAi(Service(url=f"{server.url}/v1", **service))
    voices = await asyncio.to_thread(engine.voices)
    asked = server.asked_for_voices
    assert await asyncio.to_thread(engine.voices) == voices
    assert server.asked_for_voices == asked
    await engine.aclose()
    return voices


def test_voices_are_those_that_the_setting_names() -> None:
    assert named_voices("alloy, zf_xiaobei=zh-CN,,me/v2=en") == [
        Voice("alloy", "alloy", "mul"),
        Voice("zf_xiaobei", "zf_xiaobei", "zh-CN"),
        Voice("me/v2", "me/v2", "en"),
    ]


async def test_named_voices_are_not_asked_for(server: TtsServer) -> None:
    assert await told(server, voices="alloy") == [Voice("alloy", "alloy", "mul")]
    assert server.asked_for_voices == 0


OK = [Voice("ok", "ok", "mul")]
KOKORO = [Voice("af_heart", "af_heart", "en-US"), Voice("zf_xiaobei", "zf_xiaobei", "zh-CN")]


@pytest.mark.parametrize(
    ("list_", "voices"),
    [
        ({"voices": ["af_heart", "zf_xiaobei"]}, KOKORO),
        ({"voices": [{"id": "af_heart", "name": "af_heart"}, {"id": "zf_xiaobei", "name": "zf_xiaobei"}]}, KOKORO),
        (["af_heart", "zf_xiaobei"], KOKORO),
        ({"data": [{"id": "amy", "name": "Amy \n(US)", "language": "en_US"}]}, [Voice("amy", "Amy (US)", "en-US")]),
        ({"voices": [{"voice_id": "ok", "locale": "auto"}]}, OK),
        ({"voices": [{"name": "ok"}]}, OK),
        ({"voices": ["a b", "", "x" * 101, "../é", None, 7, {"id": {}}, ["x"], "ok", "ok"]}, OK),
        (None, OPENAI_VOICES),
        ([], OPENAI_VOICES),
        ("no list", OPENAI_VOICES),
        ({"voices": {"af": 1}}, OPENAI_VOICES),
        (["x" * 2_000_000], OPENAI_VOICES),
    ],
)
async def test_voices_are_those_that_the_service_tells_of(server: TtsServer, list_: Any, voices: list[Voice]) -> None:
    server.voices = list_
    assert await told(server) == voices


async def test_voices_of_a_service_that_is_away_are_asked_for_again() -> None:
    port = free_port()
    engine = OpenAi(Service(url=f"http://127.0.0.1:{port}/v1"))
    with pytest.raises(JobError) as caught:
        await asyncio.to_thread(engine.voice_for, "en", None)
    assert (caught.value.code, caught.value.retryable) == ("tts_unreachable", True)
    async with TtsServer(voices=["af_heart"], port=port):
        assert await asyncio.to_thread(engine.voice_for, "en", None) == "af_heart"
    assert await asyncio.to_thread(engine.voice_for, "en", None) == "af_heart"
    await engine.aclose()


@pytest.mark.parametrize(
    ("voices", "language", "wanted", "voice"),
    [
        ("alloy,echo", "en", None, "alloy"),
        ("alloy,echo", "zh-CN", "echo", "echo"),
        ("alloy,bob=en-GB,wei=zh-CN", "zh-CN", None, "wei"),
        ("alloy,bob=en-GB,wei=zh-CN", "en", None, "bob"),
        ("alloy,bob=en-GB,wei=zh-CN", "fr", None, "alloy"),
        ("alloy,bob=en-GB,wei=zh-CN", "zh-CN", "bob", "wei"),
        ("alloy,bob=en-GB,wei=zh-CN", "zh-CN", "alloy", "alloy"),
        ("bob=en-GB", "zh-CN", "bob", "bob"),
        ("bob=en-GB", "zh-CN", None, "bob"),
    ],
)
def test_voice_fits_the_language(voices: str, language: str, wanted: str | None, voice: str) -> None:
    assert OpenAi(Service(url="http://127.0.0.1:1/v1", voices=voices)).voice_for(language, wanted) == voice


def test_unknown_voice_is_refused() -> None:
    with pytest.raises(JobError) as caught:
        OpenAi(Service(url="http://127.0.0.1:1/v1", voices="alloy")).voice_for("en", "nobody")
    assert caught.value.code == "unknown_voice"
