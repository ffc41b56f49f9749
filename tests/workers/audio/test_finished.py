"""How finished audio sounds, as another FFmpeg measures it: its loudness, its peaks, its tags and its cover."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.conftest import Remembered, Reports
from tests.workers.sounds import decoded, measured, picture, probed, tone
from workers.audio.encode import Cover, Encoding, Form, SoundWriter, Tags
from workers.audio.leveller import Level, Leveller, Piece, limit
from workers.audio.loudness import Meter
from workers.audio.pcm import Pcm
from workers.audio.samples import fade, samples_of, trimmed
from workers.engines.espeak import Espeak
from workers.pipeline.narration import Script, Sound, narrate

ZH = "天下大势，分久必合，合久必分。周末七国分争，并入于秦。他大喊：“快跑！”\n没有人回答他。"
EN = "It was the best of times, it was the worst of times. “Run!” she cried.\n\nNobody answered, and it grew dark."
TAGS = Tags("第一章 少年", "A Book", "曹雪芹", 3, 12, "zh-CN")
SCRIPT = Script("", "", "Book", "SmartVoice", 1, 2, "en", None)


class Copy:
    """A `save` that keeps the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def __call__(self, path: Path, report: dict[str, Any]) -> None:
        self.path.write_bytes(path.read_bytes())


async def narrated(script: Script, path: Path) -> Path:
    await narrate(script, Espeak(), Remembered(), Copy(path), Reports())
    return path


@pytest.mark.parametrize(
    ("text", "voice", "sound"),
    [
        (ZH, None, Sound()),
        (EN, None, Sound()),
        (ZH * 9, "cmn-female", Sound()),
        (EN * 9, "en-us-female", Sound()),
        (ZH + EN, None, Sound()),
        ("It began to rain.", None, Sound()),
        ("跑！" * 40, None, Sound()),
        (EN, None, Sound(Level(-23, -5))),
        (EN, None, Sound(encoding=Encoding(sample_rate=44_100, bit_rate=128_000))),
        (EN, None, Sound(encoding=Encoding(variable=True))),
    ],
)
async def test_audio_is_as_loud_as_it_is_set_and_never_clipped(
    tmp_path: Path, text: str, voice: str | None, sound: Sound
) -> None:
    path = await narrated(replace(SCRIPT, text=text, voice=voice, sound=sound), tmp_path / "a.mp3")
    found = measured(path)
    assert found.integrated == pytest.approx(sound.level.lufs, abs=1)
    assert found.true_peak <= sound.level.true_peak
    assert max(map(abs, memoryview(decoded(path)).cast("h"))) < 32_767


async def test_the_same_segments_make_the_same_samples_kept_or_not(tmp_path: Path) -> None:
    script, kept = replace(SCRIPT, text=EN * 20), Remembered()
    await narrate(script, Espeak(), kept, Copy(tmp_path / "a.mp3"), Reports())
    assert sum(pcm.seconds for pcm in kept.sounds.values()) > 5
    await narrate(script, Espeak(), kept, Copy(tmp_path / "b.mp3"), Reports())
    assert decoded(tmp_path / "a.mp3") == decoded(tmp_path / "b.mp3")


@pytest.mark.parametrize("lufs", [-32.0, -19.0])
def test_meter_agrees_with_ffmpeg(tmp_path: Path, lufs: float) -> None:
    pieces = [Pcm(tone(2, 22_050, loud).samples, 22_050) for loud in (500, 4000, 9000)]
    meter = Meter()
    with SoundWriter(tmp_path / "a.m4a", 22_050, Tags(), Encoding("m4a", 44_100, 128_000)) as writer:
        for pcm in pieces:
            meter.add(samples_of(pcm) * np.float32(10 ** ((lufs + 19) / 20)), 22_050)
            writer.write(Pcm((samples_of(pcm) * 10 ** ((lufs + 19) / 20) * 32_768).astype("<i2").tobytes(), 22_050))
            writer.silence(0.5)
    assert meter.lufs == pytest.approx(measured(tmp_path / "a.m4a").integrated, abs=0.3)


def test_a_long_chapter_is_held_back_for_a_minute_only() -> None:
    leveller = Leveller(Level())
    given = 0.0
    for number in range(1, 40):
        given += sum(piece.pcm.seconds for piece in leveller.add(Piece(tone(5, 22_050), 0.1)))
        assert number * 5 - given < 60
    given += sum(piece.pcm.seconds for piece in leveller.rest())
    assert given == pytest.approx(39 * 5, abs=0.1)


def test_silence_stays_silent() -> None:
    leveller = Leveller(Level())
    assert list(leveller.add(Piece(Pcm(bytes(22_050), 22_050), 0.1))) == []
    [piece] = leveller.rest()
    assert not any(piece.pcm.samples)


def test_no_join_is_a_click_and_only_silence_is_cut_off() -> None:
    silence = np.zeros(22_050, np.float32)
    loud = np.full(22_050, 0.5, np.float32)
    cut = trimmed(np.concatenate([silence, loud, silence]), 22_050)
    assert 22_050 <= len(cut) < 24_000
    fade(loud, 22_050)
    assert max(loud[0], loud[-1]) < 0.01
    assert np.max(np.abs(np.diff(loud))) < 0.01


def test_limiter_leaves_what_is_quiet_and_lowers_each_peak() -> None:
    samples = np.random.default_rng(1).normal(0, 0.1, 22_050).astype(np.float32)
    samples[[0, 5000, 22_049]] = 2.0
    result = samples.copy()
    limit(result, 22_050, 0.5)
    assert np.max(np.abs(result)) <= 0.5 + 1e-6
    assert np.array_equal(result[6000:20_000], samples[6000:20_000])
    limit(samples[:0], 22_050, 0.5)


@pytest.mark.parametrize("form", ["mp3", "opus", "m4a"])
@pytest.mark.parametrize(("codec", "type"), [("mjpeg", "image/jpeg"), ("png", "image/png")])
def test_file_shows_its_tags_and_its_cover(tmp_path: Path, form: Form, codec: str, type: str) -> None:
    path = tmp_path / f"a.{form}"
    cover = Cover.of(picture(codec), type)
    with SoundWriter(path, 22_050, TAGS, Encoding(form), cover) as writer:
        writer.write(tone(3, 22_050))
    found = probed(path)
    sound, shown = found["streams"]
    told = {**found["format"].get("tags", {}), **sound.get("tags", {})}
    told = {name.lower(): value for name, value in told.items()}
    assert {name: told[name] for name in ("title", "album", "artist", "track", "genre", "language")} == {
        "title": "第一章 少年",
        "album": "A Book",
        "artist": "曹雪芹",
        "track": "3/12",
        "genre": "Audiobook",
        "language": "zho",
    }
    assert (shown["codec_name"], shown["width"], shown["height"]) == (codec, 64, 48)
    assert shown["disposition"]["attached_pic"] == 1
    assert float(found["format"]["duration"]) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize(("data", "type"), [(b"none", "image/png"), (b"", "image/jpeg"), (b"<svg/>", "image/svg")])
def test_what_is_no_picture_is_no_cover(data: bytes, type: str) -> None:
    assert Cover.of(data, type) is None
