"""A scene with books: chapters that have their audio, and what must be true of the file that is made of them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path, PurePosixPath
from typing import Any

import av
import httpx
import pytest

from app.core.projects.counted_files import CountedFiles
from app.core.projects.quotas import Quotas
from app.core.storage import paths
from app.core.storage.object_store import Storage
from tests.faults.rig import Worker
from tests.faults.scene import USER, Scene, check_progress, paragraphs, staged
from tests.support import until
from workers.book import aac_part, m4b
from workers.book.book_storage import ProjectBookStorage

CHAPTERS = 4
_QUEUE = "book-assembly"
_ENDS = {"book:complete", "book:failed", "book:cancelled"}
_ID3_BYTES = 10

Kept = dict[Path, tuple[int, int]]
"""Parts of books that are kept, by when each was written, and into which file."""


@dataclass
class Library:
    """A project of some short chapters that have their audio."""

    scene: Scene
    id: str = ""
    title: str = ""
    before: str = ""

    async def stock(self) -> None:
        """Makes it; all chapters are of the same length."""
        self.title = "The Lamp"
        text = "\n\n".join(f"Chapter {number}\n\n{paragraphs(1)[0]}" for number in range(1, CHAPTERS + 1))
        made = await self.scene.http.post("/api/projects", json={"title": self.title, "text": text, "language": "en"})
        assert made.status_code == httpx.codes.CREATED, made.text
        self.id = made.json()["id"]
        await until(self.chapters)
        assert (await self.scene.http.post(f"/api/projects/{self.id}/audio")).status_code == httpx.codes.ACCEPTED

        async def narrated() -> bool:
            return all(chapter["audioUrl"] for chapter in await self.chapters())

        await until(narrated)

    async def chapters(self) -> list[dict[str, Any]]:
        return list((await self.scene.project(self.id))["chapters"])

    async def rename(self, title: str) -> None:
        """From now on the book is another one, of the same parts."""
        self.title = title
        answer = await self.scene.http.patch(f"/api/projects/{self.id}", json={"title": title})
        assert answer.status_code == httpx.codes.OK, answer.text

    async def begin(self) -> str:
        """The id of a job that puts the book together."""
        answer = await self.scene.http.post(f"/api/projects/{self.id}/book", json={"format": "m4b"})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["id"])

    async def ended(self, job: str) -> dict[str, Any]:
        """The job, once it has ended."""
        return await self.scene.ended(job, queue=_QUEUE)

    async def ends(self, job: str) -> list[str]:
        """The types of all terminal events of the job."""
        return [one.type for one, _ in await self.scene.events(job) if one.type in _ENDS]

    async def at(self, job: str, stage: str) -> None:
        """Returns as soon as the job is seen to be in that stage."""

        async def there() -> bool:
            return bool((await self.scene.job(job, _QUEUE))["progress"]["stage"] == stage)

        await until(there)

    async def cancel(self, job: str) -> None:
        answer = await self.scene.http.delete(f"/api/jobs/{_QUEUE}/{job}")
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text

    async def delete(self) -> None:
        answer = await self.scene.http.delete(f"/api/projects/{self.id}")
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    async def gone(self) -> None:
        """Returns when no key and no file is left of it."""

        async def nothing() -> bool:
            return not await self.scene.left_of(self.id)

        await until(nothing)

    def under_way(self) -> list[Path]:
        """What workers are at, or have left behind, outside of the storage."""
        folders = self.scene.rig.temporary.glob("smartvoice-*/*")
        return [path for path in folders if path.suffix in {".mp3", ".m4a", ".m4b"}]

    def kept(self) -> Kept:
        """The parts that are kept."""
        root = self.scene.rig.settings.data_dir / "storage" / paths.segments_prefix(USER, self.id)
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in root.glob("*.m4a")}

    def books(self) -> list[str]:
        """The names of the books' files, those that are still being written included."""
        root = self.scene.rig.settings.data_dir / "storage" / paths.books_prefix(USER, self.id)
        return sorted(path.name for path in root.glob("*"))

    async def lengthen(self, times: int) -> None:
        """The first chapter's audio becomes so many times as long, to be encoded."""
        file = self._sound((await self.chapters())[0])
        data = file.read_bytes()
        # Without the tags before it (ID3v2.4, 3.1) a file of frames can follow another one.
        tags = sum(byte << 7 * place for place, byte in enumerate(reversed(data[6:_ID3_BYTES]))) + _ID3_BYTES
        assert data.startswith(b"ID3")
        file.write_bytes(data[tags:] * times)

    async def keep_long_parts(self, seconds: float) -> None:
        """Parts of so many seconds are kept for each chapter, as if a book had been made of such."""
        settings, chapters = self.scene.rig.settings, await self.chapters()
        async with self.scene.rig.client as redis:
            files = CountedFiles(Storage(settings.storage), Quotas(redis, settings))
            await self._keep_long_parts(
                ProjectBookStorage(files, USER, self.id, f"{self.id}-", "m4b"), chapters, seconds
            )

    async def _keep_long_parts(self, shelf: ProjectBookStorage, chapters: list[dict[str, Any]], seconds: float) -> None:
        with tempfile.TemporaryDirectory() as name:
            short, long = Path(name, "short.m4a"), Path(name, "long.m4a")
            _run(aac_part.encode(self._sound(chapters[-1]), short))
            times = round(seconds / m4b.seconds([short]))
            _run(m4b.join(list(repeat(m4b.Mark("", short), times)), m4b.Labels("", "", ""), long))
            for chapter in chapters:
                await shelf.keep_part(_name(chapter), long)

    async def check_one_good_book(self, job: str) -> None:
        """One terminal event, progress that never fell, and the very file that an undisturbed worker would make."""
        told = await self.scene.events(job)
        check_progress(told)
        assert [one.type for one, _ in told if one.type in _ENDS] == ["book:complete"]
        assert told[-1][0].type == "book:complete"
        url = told[-1][1]["downloadUrl"]
        found = await self.scene.http.get(url)
        assert found.status_code == httpx.codes.OK
        chapters = await self.chapters()
        assert found.content == self._undisturbed(chapters)
        check_marks(found.content, chapters)
        self._check_no_other_file(url.partition("-")[2])

    def _check_no_other_file(self, name: str) -> None:
        """The book before goes with the next; there is no third, and nothing that was begun."""
        others = [other for other in self.books() if other != name]
        assert len(others) == len(self.books()) - 1
        assert all(other == self.before for other in others)
        self.before = name

    def _undisturbed(self, chapters: list[dict[str, Any]]) -> bytes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            marks = [m4b.Mark(chapter["title"], folder / f"{chapter['position']}.m4a") for chapter in chapters]
            for chapter, mark in zip(chapters, marks, strict=True):
                _run(aac_part.encode(self._sound(chapter), mark.part))
            _run(m4b.join(marks, m4b.Labels(self.title, "", "en"), folder / "book.m4b"))
            return (folder / "book.m4b").read_bytes()

    def _sound(self, chapter: dict[str, Any]) -> Path:
        return self.scene.rig.settings.data_dir / "storage" / paths.audio_path(USER, _name(chapter))


def check_marks(book: bytes, chapters: list[dict[str, Any]]) -> None:
    """The book can be read, and its chapters begin where the audio of those before ends."""
    with av.open(io.BytesIO(book), "r") as container:
        marks = container.chapters()
        sound = sum(int(frame.samples) for frame in container.decode(audio=0)) / aac_part.RATE
    ends = [float(mark["end"] * mark["time_base"]) for mark in marks if mark["time_base"]]
    lengths = [chapter["durationSeconds"] for chapter in chapters]
    assert [mark["metadata"]["title"] for mark in marks] == [chapter["title"] for chapter in chapters]
    # A part is a whole number of packets, and begins with one of silence.
    assert ends == pytest.approx([sum(lengths[: upto + 1]) for upto in range(len(lengths))], abs=0.1 * len(lengths))
    assert sound == pytest.approx(ends[-1], abs=0.1)


@asynccontextmanager
async def stocked(progress_per_second: float = 10) -> AsyncIterator[tuple[Library, Worker]]:
    """A library, and the worker that narrated its chapters; a worker that dies loses its jobs soon."""
    hasty = {"lease_seconds": 1.5, "requeue_seconds": 1.5, "retry_seconds": 0.1}
    async with staged(None, **hasty, progress_per_second=progress_per_second) as scene:
        worker = await scene.worker()
        library = Library(scene)
        await library.stock()
        yield library, worker


def _name(chapter: dict[str, Any]) -> str:
    return PurePosixPath(chapter["audioUrl"]).stem


def _run(work: Any) -> None:
    for _ in work:
        pass
