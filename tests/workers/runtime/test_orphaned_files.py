"""What nothing names any more goes; what a record names, what a job may read and what is new stays."""

from __future__ import annotations

import os
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.core.jobs.service import JobRequest, Jobs
from app.core.projects import books
from app.core.projects.service import Projects, UploadedManuscript, audio_record
from app.core.redis import keys
from app.core.redis.client import fields as fields_of
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage
from app.core.vocabulary import ASSEMBLY, NARRATION
from tests.support import HandWorker
from workers.runtime.orphaned_files import OrphanedFiles

USER = "alice"
DAY = 86400


class Shelf:
    """A project of alice's with two chapters, whose files may be made old."""

    def __init__(self, folder: Path, projects: Projects, jobs: Jobs, worker: HandWorker) -> None:
        self.folder = folder
        self.projects = projects
        self.jobs = jobs
        self.worker = worker
        self.id = ""
        self.chapters: list[str] = []

    async def fill(self) -> None:
        project, job = await self.projects.create(USER, UploadedManuscript(b"Text.", "txt", "A book", "en"))
        self.id = project.id
        await self.worker.parse(USER, job.json_dict(), chapters=2)
        self.chapters = await self.projects.chapter_ids(USER, self.id)

    async def narrate(self, chapter: str, name: str) -> str:
        """Audio by that name for a chapter, and its report."""
        name = f"{self.id}-{chapter}-{name * 20}"
        for path in (paths.audio_path(USER, name), paths.report_path(USER, name)):
            await self.projects.files.put(USER, self.id, path, b"sound")
        job, _ = await self.jobs.create(USER, JobRequest(NARRATION, self.id, "en", chapter))
        claim = await self.worker.start(USER, job.json_dict())
        await self.jobs.complete(claim, {}, audio_record(USER, chapter, name, 1.0, "x"))
        return name

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.glob("u-*/**/*") if path.is_file()}

    def age(self, seconds: float) -> None:
        for path in self.folder.rglob("*"):
            os.utime(path, (time.time() - seconds, time.time() - seconds))


@pytest.fixture
async def shelf(settings: Settings, projects: Projects, jobs: Jobs, worker: HandWorker) -> Shelf:
    shelf = Shelf(settings.data_dir / "storage", projects, jobs, worker)
    await shelf.fill()
    return shelf


@pytest.fixture
def leftovers(redis: Redis, storage: Storage, projects: Projects) -> OrphanedFiles:
    return OrphanedFiles(redis, storage, projects)


async def test_replaced_texts_audio_and_books_go_and_the_named_ones_stay(
    shelf: Shelf, leftovers: OrphanedFiles, redis: Redis, projects: Projects
) -> None:
    first, second = shelf.chapters
    await projects.change_chapter(USER, shelf.id, first, {}, text="Other text.")
    await shelf.narrate(first, "a")
    await shelf.narrate(first, "b")
    await projects.merge_chapter(USER, shelf.id, second)
    for digest in ("c", "d"):
        await projects.files.put(USER, shelf.id, paths.book_path(USER, f"{shelf.id}-{digest * 20}", "zip"), b"book")
    told = books.result_of(f"{shelf.id}-{'d' * 20}", "zip", 4, await projects.chapters(USER, shelf.id))
    for key, fields in books.record(USER, shelf.id, "zip", told).items():
        await redis.hset(key, mapping=fields_of(fields))
    before = shelf.files()
    assert await leftovers.sweep(Counter()) == 0  # all is new
    shelf.age(2 * 3600)
    assert await leftovers.sweep(Counter()) == len(before) - 5
    kept = sorted(Path(path).name[:5] for path in shelf.files())
    assert len(kept) == 5  # manuscript, text, audio, report, book
    assert (await projects.text(USER, shelf.id, first))[1].startswith("Other text.")
    lies = sum((shelf.folder / path).stat().st_size for path in shelf.files())
    assert (await projects.usage.of(USER))[:3] == (1, 1, lies)


async def test_project_with_an_open_job_is_left_alone(shelf: Shelf, leftovers: OrphanedFiles) -> None:
    first, _ = shelf.chapters
    await shelf.narrate(first, "a")
    await shelf.narrate(first, "b")
    job, _ = await shelf.jobs.create(USER, JobRequest(ASSEMBLY, shelf.id, "en", format="zip"))
    shelf.age(2 * 3600)
    assert await leftovers.sweep(Counter()) == 0
    await shelf.jobs.cancel(USER, job.queue, job.id)
    assert await leftovers.sweep(Counter()) == 2


async def test_files_of_a_project_that_never_was_go_after_a_day(
    shelf: Shelf, leftovers: OrphanedFiles, storage: Storage, redis: Redis
) -> None:
    await storage.put("u-bob/projects/p1/manuscript", b"x")
    shelf.age(2 * 3600)
    assert await leftovers.sweep(Counter()) == 0
    shelf.age(2 * DAY)
    assert await leftovers.sweep(Counter()) == 1
    assert not [path for path in shelf.files() if "bob" in path]


async def test_what_a_crash_left_uncounted_is_counted(
    shelf: Shelf, leftovers: OrphanedFiles, redis: Redis, projects: Projects
) -> None:
    right = await projects.usage.of(USER)
    await redis.hset(keys.usage(USER), mapping={f"b:{shelf.id}": "999999", f"c:{shelf.id}": "77"})
    await leftovers.sweep(Counter({(USER, shelf.id): 123}))
    found = await projects.usage.of(USER)
    assert found == right._replace(segment_bytes=123)


async def test_text_that_is_replaced_and_swept_while_it_is_read_is_read_anew(
    shelf: Shelf, leftovers: OrphanedFiles, projects: Projects, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = shelf.chapters
    changed: list[str] = []
    original = Storage.get

    async def get(self: Storage, path: str) -> bytes:
        if not changed:
            changed.append(path)
            await projects.change_chapter(USER, shelf.id, first, {}, text="Other text.")
            shelf.age(2 * 3600)
            assert await leftovers.sweep(Counter(), after=timedelta()) == 1
        return await original(self, path)

    monkeypatch.setattr(Storage, "get", get)
    assert (await projects.text(USER, shelf.id, first))[1] == "Other text."
