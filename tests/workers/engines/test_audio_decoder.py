"""What a voice service calls sound is decoded, or refused with a reason."""

from __future__ import annotations

import random
import struct
from array import array
from collections.abc import AsyncIterator

import pytest

from app.core.errors import JobError
from tests.tts_server import TtsServer
from tests.tts_sound import SAMPLE_RATE, encoded, samples_of, sound_of, wav
from tests.tts_ways import streamed
from workers.engines.audio_decoder import decode
from workers.engines.openai import OpenAi, Service

TEXT = "The road ran along the cliff for three miles."
SAMPLES = samples_of(TEXT)
MAX_SIZE = 10 * 1024 * 1024
FORMS = ["wav", "flac", "mp3", "opus", "aac"]


@pytest.fixture
async def server() -> AsyncIterator[TtsServer]:
    async with TtsServer() as server:
        yield server


def why(data: bytes, largest: int = MAX_SIZE) -> str:
    with pytest.raises(JobError) as caught:
        decode(data, largest)
    assert (caught.value.code, caught.value.retryable) == ("tts_bad_audio", True)
    return caught.value.message


def verdict(data: bytes) -> str:
    try:
        return "sound" if decode(data, MAX_SIZE).samples else "no sound"
    except JobError as error:
        return error.code


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_sound_without_loss_is_the_same_to_the_sample(form: str) -> None:
    pcm = decode(sound_of(TEXT, form), MAX_SIZE)
    assert (pcm.samples, pcm.sample_rate) == (SAMPLES, SAMPLE_RATE)


@pytest.mark.parametrize(("form", "rate"), [("mp3", SAMPLE_RATE), ("opus", 48_000), ("aac", SAMPLE_RATE)])
def test_sound_with_loss_is_as_long_and_as_loud(form: str, rate: int) -> None:
    pcm = decode(sound_of(TEXT, form), MAX_SIZE)
    assert pcm.sample_rate == rate
    assert pcm.seconds == pytest.approx(len(SAMPLES) / 2 / SAMPLE_RATE, abs=0.15)
    assert max(memoryview(pcm.samples).cast("h")) > 4000


def test_two_channels_become_one() -> None:
    left = array("h", SAMPLES)
    both = array("h", [sample for one in left for sample in (one, one)])
    pcm = decode(wav(both.tobytes(), channels=2), MAX_SIZE)
    assert (pcm.samples, pcm.sample_rate) == (SAMPLES, SAMPLE_RATE)


def test_rate_that_mp3_does_not_have_is_changed() -> None:
    data = bytearray(wav(SAMPLES))
    data[24:32] = struct.pack("<II", 96_000, 192_000)
    pcm = decode(bytes(data), MAX_SIZE)
    assert pcm.sample_rate == SAMPLE_RATE
    assert pcm.seconds == pytest.approx(len(SAMPLES) / 2 / 96_000, abs=0.01)


@pytest.mark.parametrize("told", [0, 0xFFFFFFFF, 0x7FFFFFFF, 2_000_000_000])
async def test_wav_that_is_streamed_says_nothing_of_its_size(server: TtsServer, told: int) -> None:
    server.misbehave(streamed(told))
    engine = OpenAi(Service(url=f"{server.url}/v1", tries=1))
    assert (await engine.speak(TEXT, "alloy")).samples == SAMPLES
    await engine.aclose()


@pytest.mark.parametrize("cut", [1, 3, 1000, 20_000])
@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
def test_truncated_sound_is_refused(form: str, cut: int) -> None:
    data = sound_of(TEXT, form)
    assert why(data[: -min(cut, len(data) // 2)]) in {
        "The voice service sent truncated sound.",
        "The voice service sent broken sound.",
    }


@pytest.mark.parametrize("share", [0.301, 0.5, 0.777, 0.999])
def test_mp3_that_does_not_say_its_length_is_refused_where_a_frame_is_cut(share: float) -> None:
    data = encoded(SAMPLES, "mp3", write_xing="0", id3v2_version="0")
    assert decode(data, MAX_SIZE).samples
    assert decode(data + b"TAG" + bytes(125), MAX_SIZE).samples
    assert why(data[: int(len(data) * share)]) == "The voice service sent truncated sound."


def test_mp3_that_says_its_length_is_refused_where_whole_frames_lack() -> None:
    data = encoded(SAMPLES, "mp3", id3v2_version="0")
    last_frame = data.rindex(data[:2])
    assert decode(data, MAX_SIZE).samples
    assert why(data[:last_frame]) == "The voice service sent truncated sound."


@pytest.mark.parametrize("form", FORMS)
def test_sound_that_ends_in_its_first_bytes_is_refused(form: str) -> None:
    data = sound_of(TEXT, form)
    for length in range(0, 200, 3):
        why(data[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"#EXTM3U\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"RIFF\xff\xff\xff\xffAVI LIST",
        wav(b""),
        wav(b"", told=0xFFFFFFFF),
        b"\xff\xfb\x90\x00",
        b"\xff",
        b"ID3\x04\x00\x00\x00\x00\x00\x00",
    ],
)
def test_what_is_no_sound_is_refused(data: bytes) -> None:
    why(data)


@pytest.mark.parametrize("form", FORMS)
def test_broken_bytes_end_in_sound_or_in_an_error(form: str) -> None:
    """Not in anything else: hundreds of files with some bytes changed."""
    chance = random.Random(form)
    data = sound_of("Three miles.", form)
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 20)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        assert verdict(bytes(broken)) in {"sound", "tts_bad_audio"}


def test_little_that_becomes_far_too_much_is_refused() -> None:
    data = encoded(bytes(SAMPLE_RATE * 2 * 600), "flac")
    assert len(data) < 200_000
    assert why(data, 1_000_000) == "The voice service sent far too much sound."
