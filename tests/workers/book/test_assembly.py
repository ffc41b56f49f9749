"""Books: real audio joined by the real pipeline, and looked at by FFmpeg's own ffprobe."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
from array import array
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from redis.asyncio import Redis

from app.core.eventlog.log import EventLog
from app.core.jobs.broker import WorkQueue
from app.core.jobs.models import Job
from app.core.jobs.service import JobRequest, Jobs
from app.core.projects.deletion import ProjectDeletion
from app.core.projects.service import ParsedChapter, Projects, UploadedManuscript, audio_record
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.filenames import safe
from app.core.storage.object_store import Storage
from app.core.vocabulary import ASSEMBLY, NARRATION, BookFormat
from tests.programs import program
from tests.support import NoDispatcher
from tests.workers.conftest import Reports
from workers.audio.encode import SoundWriter, Tags
from workers.audio.pcm import Pcm
from workers.book import aac_part, m4b
from workers.book.assembly import Edition, Track, assemble
from workers.core.blocking import in_threads
from workers.engines.espeak import Espeak
from workers.jobs import assemble_task, tasks
from workers.runtime.context import Runtime

RATE = 22_050
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


def tone(seconds: float, hertz: float) -> Pcm:
    wave = (round(8000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(round(seconds * RATE)))
    return Pcm(array("h", wave).tobytes(), RATE)


def mp3(path: Path, seconds: float, hertz: float = 440) -> Path:
    with SoundWriter(path, RATE, Tags()) as writer:
        writer.write(tone(seconds, hertz))
    return path


def probed(path: Path) -> dict[str, Any]:
    words = ["-v", "error", "-show_chapters", "-show_format", "-show_streams", "-of", "json"]
    command = [program("ffprobe"), *words, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def loudness(path: Path, at: float) -> float:
    """How loud a tenth of a second is at a place of the file, as its mean square."""
    command = [program("ffmpeg"), *f"-v error -ss {at} -t 0.1 -i".split(), str(path), *["-f", "s16le", "-ac", "1", "-"]]
    samples = array("h", subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    return sum(sample * sample for sample in samples) / len(samples)


async def seconds_of(work: Iterable[int]) -> list[int]:
    return [step async for step in in_threads(step for step in work)]


async def test_m4b_has_marks_where_its_chapters_begin(tmp_path: Path) -> None:
    marks = []
    for number, seconds in enumerate([1.0, 2.5, 0.3]):
        source = mp3(tmp_path / f"{number}.mp3", seconds)
        await seconds_of(aac_part.encode(source, tmp_path / f"{number}.m4a"))
        marks.append(m4b.Mark(f"第{number + 1}章 & Chapter", tmp_path / f"{number}.m4a"))
    cover = tmp_path / "cover"
    cover.write_bytes(PNG)
    book = tmp_path / "book.m4b"
    done = await seconds_of(m4b.join(marks, m4b.Labels("灯塔", "Ann Author", "zh-CN", cover), book))
    assert done[-1] > 0
    found = probed(book)
    assert [chapter["tags"]["title"] for chapter in found["chapters"]] == [mark.title for mark in marks]
    begins = [float(chapter["start_time"]) for chapter in found["chapters"]]
    ends = [float(chapter["end_time"]) for chapter in found["chapters"]]
    # A part is a whole number of packets, and begins with one of silence.
    assert begins == pytest.approx([0, 1, 3.5], abs=0.3)
    assert ends[:-1] == begins[1:]
    assert float(found["format"]["duration"]) == pytest.approx(ends[-1], abs=0.1)
    tags = {name.lower(): value for name, value in found["format"]["tags"].items()}
    assert (tags["title"], tags["artist"], tags["genre"]) == ("灯塔", "Ann Author", "Audiobook")
    sound, picture = (next(s for s in found["streams"] if s["codec_type"] == kind) for kind in ("audio", "video"))
    assert (sound["codec_name"], sound["channels"], sound["tags"]["language"]) == ("aac", 1, "zho")
    assert (picture["codec_name"], picture["disposition"]["attached_pic"]) == ("png", 1)
    assert all(loudness(book, begin + 0.15) > 1_000_000 for begin in begins)


async def test_cover_that_is_no_picture_is_left_out(tmp_path: Path) -> None:
    await seconds_of(aac_part.encode(mp3(tmp_path / "a.mp3", 0.5), tmp_path / "a.m4a"))
    cover = tmp_path / "cover"
    cover.write_bytes(b"no picture at all" * 100)
    book = tmp_path / "book.m4b"
    await seconds_of(m4b.join([m4b.Mark("One", tmp_path / "a.m4a")], m4b.Labels("T", "", "en", cover), book))
    assert [stream["codec_type"] for stream in probed(book)["streams"] if stream["codec_type"] == "video"] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("The Lamp Keeper", "The Lamp Keeper"),
        ("灯塔：第一章", "灯塔：第一章"),
        ("../../etc/passwd", "etc passwd"),
        ('a/b\\c:d*e?f"g<h>i|j', "a b c d e f g h i j"),
        ("line\nend\t\0", "line end"),
        ("dots...  ", "dots"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("\u202egpj.exe", "gpj.exe"),
        ("...", "Untitled"),
        ("", "Untitled"),
        ("字" * 300, "字" * 40),
    ],
)
def test_names_are_safe_on_every_file_system(name: str, expected: str) -> None:
    assert safe(name, "Untitled") == expected


class Desk:
    """A worker's runtime, and a project with chapters that have audio."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.settings = settings
        self.store = Storage(settings.storage)
        self.jobs = Jobs(redis, EventLog(redis, settings), settings, NoDispatcher())
        self.projects = Projects(redis, self.store, self.jobs, settings)
        self.deletion = ProjectDeletion(redis, self.store, self.jobs, settings)
        self.queue = WorkQueue(settings.queue)
        self.runtime = Runtime(
            settings, redis, self.store, self.jobs, self.projects, self.deletion, self.queue, Espeak()
        )
        self.project = ""

    async def book_of(self, folder: Path, chapters: int, title: str = "灯塔") -> None:
        project, job = await self.projects.create("alice", UploadedManuscript(b"x", "txt", title, "en"))
        self.project = project.id
        claim = await self.jobs.claim("alice", job.id, "read")
        found = [ParsedChapter(f"Chapter {number}", f"Text {number}.") for number in range(1, chapters + 1)]
        records = await self.projects.add_chapters(claim, found)
        await self.jobs.complete(claim, {"chapters": chapters, "characters": 9}, records)
        for number in range(chapters):
            await self.voice(number, mp3(folder / "audio.mp3", 0.5 + number / 10))

    async def voice(self, number: int, audio: Path, edition: str = "0") -> None:
        """Gives a chapter the audio in that file."""
        chapter = (await self.projects.chapters("alice", self.project))[number]
        name = f"{self.project}-{chapter.id}-{edition * 20}"
        await self.store.put(paths.audio_path("alice", name), audio)
        job, _ = await self.jobs.create("alice", JobRequest(NARRATION, self.project, "en", chapter.id))
        claim = await self.jobs.claim("alice", job.id, "start")
        record = audio_record("alice", chapter.id, name, 0.5 + number / 10, "d")
        await self.jobs.complete(claim, {"audioUrl": f"/audios/{name}.mp3", "durationSeconds": 1.0}, record)

    async def assemble(self, format: BookFormat = "m4b") -> Job:
        job, _ = await self.jobs.create("alice", JobRequest(ASSEMBLY, self.project, "en", format=format))
        await tasks.carry_out(self.runtime, "alice", job.id, "start", assemble_task.assemble_book)
        return await self.jobs.get("alice", ASSEMBLY, job.id)

    def file(self, job: Job) -> Path:
        assert job.result, job
        name, _, format = str(job.result["downloadUrl"]).removeprefix("/books/").partition(".")
        return self.settings.data_dir / "storage" / paths.book_path("alice", name, format)

    def files(self, suffix: str) -> set[str]:
        return {path.name for path in (self.settings.data_dir / "storage").rglob(f"*.{suffix}")}


@pytest.fixture
async def desk(settings: Settings, redis: Redis) -> AsyncIterator[Desk]:
    desk = Desk(settings, redis)
    yield desk
    await desk.queue.aclose()


async def test_later_book_encodes_only_the_chapters_that_changed(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = aac_part.encode

    def counted(source: Path, target: Path) -> Any:
        encoded.append(source.name)
        return encode(source, target)

    monkeypatch.setattr(aac_part, "encode", counted)
    await desk.book_of(tmp_path, 12)
    first = await desk.assemble()
    assert first.state == "completed", first.error
    assert (first.result or {})["chapters"] == 12
    assert sorted(encoded) == sorted(f"{number}.mp3" for number in range(12))
    assert len(probed(desk.file(first))["chapters"]) == 12
    encoded.clear()
    await desk.voice(4, mp3(tmp_path / "new.mp3", 2, 880), edition="1")
    second = await desk.assemble()
    assert encoded == ["4.mp3"]
    assert second.result != first.result
    # The very same book is not made again.
    encoded.clear()
    before = desk.file(second).stat().st_mtime_ns
    assert (await desk.assemble()).result == second.result
    assert (encoded, desk.file(second).stat().st_mtime_ns) == ([], before)
    # The first one went when nothing named it any more.
    assert desk.files("m4b") == {desk.file(second).name}
    await desk.projects.delete("alice", desk.project)
    assert desk.files("m4b") | desk.files("m4a") == set()


async def test_zip_has_audiobookshelfs_folders(desk: Desk, tmp_path: Path) -> None:
    await desk.book_of(tmp_path, 3, title="../The: Lamp")
    done = await desk.assemble("zip")
    with ZipFile(desk.file(done)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert names == [f"Unknown Author/The Lamp/0{number} - Chapter {number}.mp3" for number in (1, 2, 3)]


async def test_chapter_whose_audio_is_broken_fails_the_book_with_its_number(desk: Desk, tmp_path: Path) -> None:
    await desk.book_of(tmp_path, 3)
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"nothing that could be heard" * 50)
    await desk.voice(1, broken, edition="1")
    failed = await desk.assemble()
    assert (failed.state, failed.error and failed.error.code) == ("failed", "bad_chapter_audio")
    assert failed.error
    assert "chapter 2" in failed.error.message


async def test_book_goes_on_with_what_a_lost_worker_encoded(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that ends in the middle leaves parts; the next one encodes the rest, and there is one end."""
    await desk.book_of(tmp_path, 6)
    encoded: list[str] = []
    encode = aac_part.encode

    def dying(source: Path, target: Path) -> Any:
        encoded.append(source.name)
        if len(encoded) == 4:
            raise asyncio.CancelledError
        return encode(source, target)

    monkeypatch.setattr(aac_part, "encode", dying)
    job, _ = await desk.jobs.create("alice", JobRequest(ASSEMBLY, desk.project, "en", format="m4b"))
    with pytest.raises(asyncio.CancelledError):
        await tasks.carry_out(desk.runtime, "alice", job.id, "start", assemble_task.assemble_book)
    kept = len(desk.files("m4a"))
    assert 2 <= kept <= 3
    encoded.clear()
    encoded.extend(["0"] * 10)
    await tasks.carry_out(desk.runtime, "alice", job.id, "start", assemble_task.assemble_book)
    ended = await desk.jobs.get("alice", ASSEMBLY, job.id)
    assert (ended.state, ended.attempt, len(encoded) - 10) == ("completed", 2, 6 - kept)


async def test_percentage_never_falls_and_moves_all_the_way(tmp_path: Path, reports: Reports) -> None:
    class Memory:
        """A shelf in memory."""

        async def fetch_sound(self, sound: str, target: Path) -> None:
            mp3(target, 61)

        async def fetch_part(self, sound: str, target: Path) -> bool:
            return False

        async def keep_part(self, sound: str, part: Path) -> None: ...

        async def fetch_cover(self, target: Path) -> bool:
            return False

        async def save(self, book: Path, report: Any) -> None:
            await report("upload", 0, 1)

    tracks = [Track(number, f"Chapter {number}", f"s{number}", 61.0) for number in range(1, 4)]
    await assemble(Edition("m4b", "T", "A", "en", "", tracks), Memory(), reports)
    told = reports.percentages(ASSEMBLY)
    assert told == sorted(told)
    assert reports.stages == ["chapters", "join", "upload"]
    assert len([one for one in reports.told if one[0] == "chapters"]) >= 7
