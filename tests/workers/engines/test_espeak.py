"""eSpeak NG speaks Chinese and English, one call at a time, and plausibly long."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from app.core.errors import JobError
from workers.audio.pcm import Pcm
from workers.engines.espeak import Espeak
from workers.speech.duration_check import check_duration
from workers.speech.engine import Engine

ZH = "他说，今天的天气很好。我们去公园散步吧！"
EN = "It was the best of times, it was the worst of times."


@pytest.fixture
def engine() -> Engine:
    return Espeak()


def loudness(pcm: Pcm) -> int:
    samples = memoryview(pcm.samples).cast("h")
    return max(map(abs, samples), default=0)


@pytest.mark.parametrize(
    ("text", "voice"),
    [
        (ZH, "cmn"),
        (EN, "en-us"),
        (ZH * 20, "cmn"),
        (EN * 20, "en-us"),
        ("我", "cmn"),
        ("I", "en-us"),
        ("1", "cmn"),
        ("1234567", "en-us"),
        ("12345678901234567890", "en-us"),
        ("2024年3月15日", "cmn"),
        (EN, "cmn"),
        (ZH, "en-us"),
        ("http://www.example.com/a?b=c", "en-us"),
        ("👍 ok", "en-us"),
        ("a" * 1800, "en-us"),
        ("1" * 1800, "cmn"),
        ("W W W", "cmn"),
        ("Привет", "cmn"),
        ("𠀀", "en-us"),
    ],
)
async def test_speech_is_as_long_as_its_text(engine: Engine, text: str, voice: str) -> None:
    pcm = await engine.speak(text, voice)
    assert pcm.sample_rate == 22050
    assert loudness(pcm) > 1000
    check_duration(text, pcm)


async def test_voices_differ(engine: Engine) -> None:
    sounds = {(await engine.speak(EN, voice)).samples for voice in ("en-us", "en", "en-us-female", "cmn")}
    assert len(sounds) == 4


async def test_calls_at_once_do_not_mix(engine: Engine) -> None:
    alone = [await engine.speak(ZH, "cmn"), await engine.speak(EN, "en-us")]
    together = await asyncio.gather(*[engine.speak(*call) for call in [(ZH, "cmn"), (EN, "en-us")] * 4])
    for number, pcm in enumerate(together):
        assert pcm.seconds == pytest.approx(alone[number % 2].seconds, abs=0.05)


async def test_text_is_never_markup(engine: Engine) -> None:
    spoken = await engine.speak('one <break time="9s"/> two', "en-us")
    assert (await engine.speak("one two", "en-us")).seconds < spoken.seconds < 9
    assert (await engine.speak("[[h@l'oU]]", "en-us")).seconds > 0.5
    assert loudness(await engine.speak("one\0two", "en-us")) > 1000


def test_voices_have_ids_and_languages_fit_for_a_url(engine: Engine) -> None:
    voices = {voice.id: voice for voice in engine.voices()}
    assert len(voices) == len(engine.voices()) > 100
    assert voices["cmn"].language == "zh-CN"
    assert voices["en-us"].language == "en-US"
    assert all(re.fullmatch(r"[a-z0-9-]+", id) for id in voices)
    assert all(re.fullmatch(r"[a-z]{2,4}(-[A-Za-z0-9]+)*", voice.language) for voice in voices.values())
    assert json.dumps([voice.name for voice in voices.values()])


async def test_every_voice_speaks(engine: Engine) -> None:
    for voice in engine.voices():
        assert (await engine.speak("1", voice.id)).seconds > 0, voice


@pytest.mark.parametrize(
    ("language", "wanted", "voice"),
    [
        ("zh-CN", None, "cmn"),
        ("en", None, "en-us"),
        ("en", "en-gb-x-rp", "en-gb-x-rp"),
        ("zh-CN", "yue", "yue"),
        ("zh-CN", "en-us", "cmn"),
        ("en", "cmn", "en-us"),
        ("de", None, "de"),
        ("xx", "yue", "yue"),
        ("xx", None, "cmn"),
    ],
)
def test_voice_fits_the_language(engine: Engine, language: str, wanted: str | None, voice: str) -> None:
    assert engine.voice_for(language, wanted) == voice


async def test_unknown_voice_is_refused(engine: Engine) -> None:
    with pytest.raises(JobError) as caught:
        engine.voice_for("en", "nobody")
    assert caught.value.code == "unknown_voice"
    with pytest.raises(JobError) as caught:
        await engine.speak("text", "nobody")
    assert caught.value.code == "unknown_voice"


def test_fingerprint_tells_the_version(engine: Engine) -> None:
    assert re.fullmatch(r"espeak-ng \d+\.\d+.*", engine.fingerprint)


@pytest.mark.parametrize(
    ("text", "seconds"), [("我", 0.0), ("I", 0.007), (ZH, 0.3), (EN * 5, 1.0), (ZH, 120.0), ("I", 20.0)]
)
def test_implausible_sound_is_an_error(text: str, seconds: float) -> None:
    with pytest.raises(JobError) as caught:
        check_duration(text, Pcm(bytes(int(seconds * 22050) * 2), 22050))
    assert caught.value.code == "implausible_audio"
    assert caught.value.retryable
