"""What is written to an mp3 can be read from it again: as long, with its tags."""

from __future__ import annotations

import array
import math
from pathlib import Path

import av
import pytest

from workers.audio.encode import SoundWriter, Tags
from workers.audio.pcm import Pcm

TAGS = Tags("第一章 少年", "A Book", "SmartVoice", 3, 12, "zh-CN")


def tone(seconds: float, rate: int) -> Pcm:
    wave = (round(10_000 * math.sin(2 * math.pi * 440 * index / rate)) for index in range(int(seconds * rate)))
    return Pcm(array.array("h", wave).tobytes(), rate)


def decoded_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("rate", [16000, 22050, 24000, 44100, 48000])
def test_file_is_as_long_as_what_was_written(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.mp3"
    with SoundWriter(path, rate, TAGS) as writer:
        for _ in range(3):
            writer.write(tone(0.71, rate))
            writer.silence(0.35)
    assert writer.seconds == pytest.approx(3.18, abs=0.001)
    assert decoded_seconds(path) == pytest.approx(writer.seconds, abs=0.1)


def test_file_has_one_channel_the_bit_rate_and_the_tags(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    with SoundWriter(path, 22050, TAGS) as writer:
        writer.write(tone(5, 22050))
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert (stream.channels, stream.rate, stream.bit_rate) == (1, 24000, 64000)
        metadata = container.metadata
    assert path.stat().st_size == pytest.approx(5 * 64_000 / 8, rel=0.1)
    assert path.read_bytes().startswith(b"ID3")
    assert {name: metadata[name] for name in ("title", "album", "artist", "track", "language")} == {
        "title": "第一章 少年",
        "album": "A Book",
        "artist": "SmartVoice",
        "track": "3/12",
        "language": "zho",
    }


def test_empty_tags_are_left_out(tmp_path: Path) -> None:
    assert Tags(title="A", track=2).metadata() == {"title": "A", "track": "2", "genre": "Audiobook"}


def test_the_sound_is_the_one_that_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    with SoundWriter(path, 22050, Tags()) as writer:
        writer.silence(1)
        writer.write(tone(1, 22050))
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=22050)
        data = b"".join(
            bytes(piece.planes[0])[: piece.samples * 2]
            for frame in container.decode(audio=0)
            for piece in resampler.resample(frame)
        )
    samples = memoryview(data).cast("h")
    assert max(map(abs, samples[2000:18_000])) < 200
    assert max(map(abs, samples[26_000:40_000])) > 8000


def test_other_sample_rate_is_refused(tmp_path: Path) -> None:
    with SoundWriter(tmp_path / "a.mp3", 22050, Tags()) as writer, pytest.raises(ValueError, match="24000"):
        writer.write(tone(0.1, 24000))


def test_closed_file_takes_nothing_more(tmp_path: Path) -> None:
    writer = SoundWriter(tmp_path / "a.mp3", 22050, Tags())
    writer.write(tone(0.1, 22050))
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.silence(1)
