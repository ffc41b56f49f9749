"""A chapter becomes an mp3 by the real engine, and says on its way how far it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from app.core.errors import JobError
from app.core.vocabulary import NARRATION
from tests.workers.conftest import Remembered, Reports
from workers.audio.pcm import Pcm
from workers.core.report import Pace
from workers.engines.espeak import Espeak
from workers.pipeline.narration import Script, digest, narrate
from workers.speech.engine import Voice

SCRIPT = Script(
    text="他说：“你好，世界。”\n\n* * *\n\nIt was the best of times.\n\n我们走吧！",
    title="第一章 少年",
    album="书",
    artist="SmartVoice",
    track=1,
    tracks=2,
    language="zh-CN",
    voice=None,
)


class Shelf:
    """A `save` that reads the file it is given."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.metadata: dict[str, str] = {}
        self.path: Path | None = None
        self.report: dict[str, Any] = {}

    async def __call__(self, path: Path, report: dict[str, Any]) -> None:
        self.report = report
        self.path = path
        with av.open(str(path)) as container:
            self.metadata = dict(container.metadata)
            self.seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


class Hum:
    """An engine that hums a tenth of a second for each character, and remembers what it was given."""

    name = "hum"
    fingerprint = "1"
    max_characters = 50
    at_once = 1
    wants_words = False

    def __init__(self, *, share: float = 1.0, fails_at: int = 0, rates: tuple[int, ...] = (22050,)) -> None:
        self.share = share
        self.fails_at = fails_at
        self.rates = rates
        self.spoken: list[tuple[str, str]] = []

    def voices(self) -> list[Voice]:
        return [Voice("zh", "zh", "zh-CN"), Voice("en", "en", "en-US")]

    def voice_for(self, language: str, wanted: str | None) -> str:
        return wanted or language.partition("-")[0]

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        self.spoken.append((text, voice))
        if len(self.spoken) == self.fails_at:
            raise JobError("engine_failed", "out of breath")
        rate = self.rates[len(self.spoken) % len(self.rates)]
        return Pcm(b"\1\0" * int(rate * 0.1 * len(text) * self.share), rate)

    async def aclose(self) -> None:
        pass


async def test_chapter_becomes_an_mp3_as_long_as_it_says(reports: Reports) -> None:
    shelf = Shelf()
    seconds = await narrate(SCRIPT, Espeak(), Remembered(), shelf, reports)
    assert 5 < seconds < 20
    assert shelf.seconds == pytest.approx(seconds, abs=0.1)
    assert shelf.metadata["title"] == SCRIPT.title
    assert shelf.metadata["track"] == "1/2"
    assert shelf.path is not None
    assert not shelf.path.exists()


async def test_reports_come_in_order_and_never_fall_back(reports: Reports) -> None:
    script = replace(SCRIPT, text=SCRIPT.text * 5)
    await narrate(script, Espeak(), Remembered(), Shelf(), reports)
    assert reports.stages == ["start", "synthesis", "upload"]
    units = [(done, total) for stage, done, total in reports.told if stage == "synthesis"]
    assert units == [(done, units[0][1]) for done in range(units[0][1] + 1)]
    percentages = reports.percentages(NARRATION)
    assert percentages == sorted(percentages)
    assert (percentages[0], percentages[1], percentages[-1]) == (10, 30, 90)


async def test_upload_is_reported_once_the_file_is_saved(reports: Reports) -> None:
    async def save(path: Path, report: dict[str, Any]) -> None:
        assert reports.stages == ["start", "synthesis"]

    await narrate(SCRIPT, Hum(), Remembered(), save, reports)
    assert reports.told[-1] == ("upload", 0, 0)


async def test_title_is_read_first_and_each_language_in_its_voice(reports: Reports) -> None:
    engine = Hum()
    await narrate(SCRIPT, engine, Remembered(), Shelf(), reports)
    assert engine.spoken == [
        ("第一章 少年", "zh"),
        ("他说：“你好，世界。”", "zh"),
        ("It was the best of times.", "en"),
        ("我们走吧！", "zh"),
    ]


async def test_title_that_begins_the_text_is_read_once(reports: Reports) -> None:
    engine = Hum()
    await narrate(replace(SCRIPT, text="  第一章 少年\n他来了。"), engine, Remembered(), Shelf(), reports)
    assert [text for text, _ in engine.spoken] == ["第一章 少年", "他来了。"]


async def test_paragraphs_pause_longer_than_sentences(reports: Reports) -> None:
    async def seconds(text: str) -> float:
        return await narrate(replace(SCRIPT, text=text, title=""), Hum(), Remembered(), Shelf(), reports)

    sentences = await seconds("他" * 40 + "。" + "他" * 40 + "。")
    paragraphs = await seconds("他" * 40 + "。\n" + "他" * 40 + "。")
    assert paragraphs - sentences == pytest.approx(0.4, abs=0.01)


async def test_segment_with_nothing_to_say_is_counted_but_not_spoken(reports: Reports) -> None:
    engine = Hum()
    await narrate(
        replace(SCRIPT, title="", text="他" * 49 + "。\n" + "。" * 120), engine, Remembered(), Shelf(), reports
    )
    assert len(engine.spoken) == 1
    stage, done, total = reports.told[-2]
    assert stage == "synthesis"
    assert done == total > 1


async def test_text_with_nothing_to_say_fails(reports: Reports) -> None:
    with pytest.raises(JobError) as caught:
        await narrate(replace(SCRIPT, title="", text="……"), Hum(), Remembered(), Shelf(), reports)
    assert caught.value.code == "nothing_to_say"


@pytest.mark.parametrize(
    ("engine", "code"),
    [
        (Hum(fails_at=3), "engine_failed"),
        (Hum(share=0), "implausible_audio"),
        (Hum(share=100), "implausible_audio"),
        (Hum(rates=(22050, 24000)), "engine_failed"),
    ],
)
async def test_fault_of_the_engine_saves_nothing(reports: Reports, engine: Hum, code: str) -> None:
    shelf = Shelf()
    with pytest.raises(JobError) as caught:
        await narrate(SCRIPT, engine, Remembered(), shelf, reports)
    assert caught.value.code == code
    assert shelf.path is None


async def test_report_that_raises_ends_the_work() -> None:
    engine = Hum()

    async def report(stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await narrate(SCRIPT, engine, Remembered(), Shelf(), report)
    assert len(engine.spoken) == 2


async def test_cancelling_in_the_middle_is_clean() -> None:
    reached = asyncio.Event()
    shelf = Shelf()

    async def report(stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        if done == 2:
            reached.set()

    task = asyncio.create_task(narrate(replace(SCRIPT, text=SCRIPT.text * 50), Espeak(), Remembered(), shelf, report))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shelf.path is None


def test_digest_changes_with_everything_that_changes_the_file() -> None:
    changed = [
        replace(SCRIPT, text="x"),
        replace(SCRIPT, title="x"),
        replace(SCRIPT, album="x"),
        replace(SCRIPT, artist="x"),
        replace(SCRIPT, track=2),
        replace(SCRIPT, tracks=3),
        replace(SCRIPT, language="en"),
        replace(SCRIPT, voice="yue"),
    ]
    digests = {digest(script, Espeak()) for script in [SCRIPT, replace(SCRIPT), *changed]}
    assert len(digests) == len(changed) + 1
    assert digest(SCRIPT, Hum()) not in digests
    assert all(len(found) == 20 and int(found, 16) >= 0 for found in digests)
