"""Piper by the real library, with voices that hum."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from piper import PiperVoice

from app.core.errors import JobError
from tests.stack import Stack, environment, running
from tests.support import PATIENCE_SECONDS, Client, until
from tests.workers.engines.piper_voice import make_voice
from tests.workers.narrating import engine_told, narrated
from workers.audio.pcm import Pcm
from workers.engines.conformance import EngineConformance
from workers.engines.piper import Piper
from workers.speech.engine import Engine

ENGLISH, CHINESE = "en_US-hum-medium", "zh_CN-hum-low"
SENTENCE = "The tide came in, and the tide went out."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("piper")
    make_voice(folder, ENGLISH)
    make_voice(folder, CHINESE, code="zh_CN", espeak="cmn", rate=16_000)
    make_voice(folder, "en_GB-choir-low", code="en_GB", espeak="en-gb-x-rp", rate=16_000, speakers="anna bob")
    return folder


class TestPiperConforms(EngineConformance):
    @pytest.fixture(autouse=True)
    def _voices(self, folder: Path) -> None:
        self.folder = folder

    def engine(self) -> Engine:
        return Piper(self.folder, 1)


def pitch(pcm: Pcm) -> float:
    """The note that is heard longest, in Hz."""
    samples = np.frombuffer(pcm.samples, "<i2")
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * pcm.sample_rate / len(samples)


def test_voices_tell_their_names_and_languages(folder: Path) -> None:
    assert [(voice.id, voice.name, voice.language) for voice in Piper(folder, 1).voices()] == [
        ("en_GB-choir-low.anna", "Choir (low), anna", "en-GB"),
        ("en_GB-choir-low.bob", "Choir (low), bob", "en-GB"),
        (ENGLISH, "Hum (medium)", "en-US"),
        (CHINESE, "Hum (low)", "zh-CN"),
    ]


async def test_speakers_of_one_network_are_voices_of_their_own(folder: Path) -> None:
    piper = Piper(folder, 1)
    anna, bob = [await piper.speak("aaaa", f"en_GB-choir-low.{name}") for name in ("anna", "bob")]
    assert pitch(bob) - pitch(anna) == pytest.approx(500, abs=20)


async def test_sound_of_another_rate_is_brought_to_the_usual_one_with_pitch_and_length(folder: Path) -> None:
    piper = Piper(folder, 1)
    make_voice(folder / "twin", "en_US-twin-low", rate=16_000)
    usual = await piper.speak(SENTENCE, ENGLISH)
    twin = await Piper(folder / "twin", 1).speak(SENTENCE, "en_US-twin-low")
    assert twin.sample_rate == usual.sample_rate == 22_050
    assert twin.seconds == pytest.approx(usual.seconds, rel=0.01)
    assert pitch(twin) == pytest.approx(pitch(usual), rel=0.01)


async def test_phonemes_in_brackets_are_text_like_any_other(folder: Path) -> None:
    piper = Piper(folder, 1)
    plain = await piper.speak("x x x x", ENGLISH)
    marked = await piper.speak("[[x x x x]]", ENGLISH)
    assert marked.seconds == pytest.approx(plain.seconds, rel=0.2)


async def test_text_without_anything_to_say_is_a_short_silence(folder: Path) -> None:
    pcm = await Piper(folder, 1).speak("", ENGLISH)
    assert 0 < pcm.seconds < 0.1
    assert not any(pcm.samples)


async def test_sentences_after_a_cancellation_are_not_spoken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[int] = []
    cancelled = threading.Event()
    speak = PiperVoice.phoneme_ids_to_audio

    def counted(voice: PiperVoice, ids: list[int], *args: Any, **kwargs: Any) -> Any:
        spoken.append(len(ids))
        cancelled.wait(PATIENCE_SECONDS)
        return speak(voice, ids, *args, **kwargs)

    monkeypatch.setattr(PiperVoice, "phoneme_ids_to_audio", counted)
    piper = Piper(folder, 1)
    calls = [asyncio.create_task(piper.speak(f"{SENTENCE} " * 20, ENGLISH)) for _ in range(5)]
    await until(lambda: spoken)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    cancelled.set()
    await piper.speak(SENTENCE, ENGLISH)
    print(f"of 100 sentences that were given up, {len(spoken) - 1} were spoken")
    assert all(call.cancelled() for call in calls)
    assert len(spoken) < 20


def test_fingerprint_follows_the_voices(tmp_path: Path) -> None:
    path = make_voice(tmp_path, ENGLISH)
    before = Piper(tmp_path, 1).fingerprint
    assert before == Piper(tmp_path, 1).fingerprint
    config = Path(f"{path}.json")
    config.write_text(config.read_text().replace("0.667", "0.5"))
    assert Piper(tmp_path, 1).fingerprint != before


async def test_folder_without_voices_is_looked_into_again(tmp_path: Path) -> None:
    piper = Piper(tmp_path / "none", 1)
    with pytest.raises(JobError, match="no voice of Piper's in") as caught:
        piper.voices()
    assert (caught.value.code, caught.value.retryable) == ("engine_failed", True)
    make_voice(tmp_path / "none", ENGLISH)
    assert (await piper.speak(SENTENCE, ENGLISH)).seconds > 1


@pytest.mark.parametrize(
    "config",
    ["{", "[]", "{}", json.dumps({"espeak": {"voice": "en-us"}, "phoneme_type": "pinyin", "num_speakers": 1})],
)
def test_voice_that_cannot_be_used_is_left_out(tmp_path: Path, config: str) -> None:
    make_voice(tmp_path, ENGLISH)
    (tmp_path / "odd.onnx").touch()
    (tmp_path / "odd.onnx.json").write_text(config)
    (tmp_path / "alone.onnx.json").write_text((tmp_path / f"{ENGLISH}.onnx.json").read_text())
    assert [voice.id for voice in Piper(tmp_path, 1).voices()] == [ENGLISH]


async def test_network_that_is_broken_is_an_error_with_a_code(tmp_path: Path) -> None:
    path = make_voice(tmp_path, ENGLISH)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(JobError, match=ENGLISH) as caught:
        await Piper(tmp_path, 1).speak(SENTENCE, ENGLISH)
    assert caught.value.code == "engine_failed"


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    with running(SMARTVOICE_TTS_ENGINE="piper", SMARTVOICE_TTS_PIPER_DIR=str(folder)) as stack:
        yield stack


async def test_book_in_two_languages_is_narrated(stack: Stack, folder: Path) -> None:
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=60) as http:
        assert await engine_told(http) == "piper"
        text = f"{SENTENCE}\n\n潮水来了，又退了。没有人在意。"
        project, chapter = await narrated(Client(http), text, voice=ENGLISH)
        assert len((await http.get(chapter["audioUrl"])).content) > 10_000
        report = (await http.get(f"/api/projects/{project}/chapters/{chapter['id']}/report")).json()
        _, english, chinese = report["segments"]
        piper = Piper(folder, 1)
        for segment, voice in ((english, ENGLISH), (chinese, CHINESE)):
            assert segment["seconds"] == pytest.approx((await piper.speak(segment["text"], voice)).seconds, abs=0.01)


def test_onnx_runtime_tells_its_maker_nothing(folder: Path, tmp_path: Path) -> None:
    """It would begin with an identifier in a file."""
    code = "from workers.engines.piper import _loaded; _loaded(Path(sys.argv[1]), 1)"
    command = [sys.executable, "-c", f"import sys; from pathlib import Path; {code}", str(folder / f"{ENGLISH}.onnx")]
    places = environment({"TMPDIR": str(tmp_path), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)})
    places.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(command, env=places, cwd=tmp_path, check=True, timeout=60)
    assert sorted(tmp_path.rglob("*")) == []
