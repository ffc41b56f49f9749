"""Files that no record names any more: replaced texts and audio, and what a crash left behind.

A project with an open job is left alone: the job may still read what it found when it started. Files that were written
lately are left alone, too: their writer may be about to name them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import structlog
from redis.asyncio import Redis

from app.core.packed_ids import PackedIds
from app.core.projects import books
from app.core.projects.models import Project
from app.core.projects.service import Projects
from app.core.redis import keys
from app.core.redis.client import decoded, names
from app.core.storage import paths
from app.core.storage.object_store import File, Storage

logger = structlog.get_logger()

Sizes = Counter[tuple[str, str]]
"""Bytes by user and project."""

_AFTER = timedelta(hours=1)
_ORPHAN_AFTER = timedelta(days=1)
_CHAPTERS_EACH = 200


class OrphanedFiles:
    """Sweeps the projects of all users, and counts again what each has."""

    def __init__(self, redis: Redis, store: Storage, projects: Projects) -> None:
        self._redis = redis
        self._store = store
        self._projects = projects

    async def sweep(self, segments: Sizes, *, after: timedelta = _AFTER) -> int:
        """Delete files that were written longer than `after` ago and have no name; return how many.

        `segments`: how many bytes each project's segments have. Raises Unavailable, RedisError.
        """
        count = 0
        for folder in await self._store.folders():
            if (user := paths.user_of(folder)) is None:
                continue
            for path in await self._store.folders(paths.projects_prefix(user)):
                project = PurePosixPath(path).name
                count += await self._sweep(user, project, after)
                await self._projects.usage.set_segments(user, project, segments[user, project])
        if count:
            logger.info("leftovers_swept", count=count)
        return count

    async def _sweep(self, user: str, project: str, after: timedelta) -> int:
        changes = (await self._projects.usage.of(user)).changes
        files = [file async for file in self._store.files(paths.project_prefix(user, project))]
        record = decoded(await self._redis.hgetall(keys.project(user, project)))
        if not record:
            return await self._sweep_orphan(user, project, files)
        if await self._is_busy(user, project):
            return 0
        chapters = await self._projects.chapter_ids(user, project)
        named = {*_named_by(user, record), *await self._named_by_chapters(user, project, chapters)}
        going = [file for file in files if file.path not in named and _is_older(file, after)]
        if going:
            await self._store.delete([file.path for file in going])
        left = sum(file.size for file in files) - sum(file.size for file in going)
        await self._projects.usage.recount(user, project, chapters=len(chapters), bytes=left, changes=changes)
        return len(going)

    async def _sweep_orphan(self, user: str, project: str, files: list[File]) -> int:
        """A project that does not exist, or not yet."""
        if not all(_is_older(file, _ORPHAN_AFTER) for file in files):
            return 0
        await self._store.delete_all(paths.project_prefix(user, project))
        await self._store.delete_all(paths.segments_prefix(user, project))
        await self._projects.usage.forget(user, project)
        return len(files)

    async def _is_busy(self, user: str, project: str) -> bool:
        made = await self._redis.hvals(keys.project_jobs(user, project))
        if not made:
            return False
        return any(score is not None for score in await self._redis.zmscore(keys.open_jobs(user), names(made)))

    async def _named_by_chapters(self, user: str, project: str, chapters: Iterable[str]) -> set[str]:
        named: set[str] = set()
        left = PackedIds(chapters)
        while left:
            batch, left = left.divided(_CHAPTERS_EACH)
            async with self._redis.pipeline(transaction=False) as pipe:
                for chapter in batch:
                    pipe.hmget(keys.chapter(user, chapter), ["text", "audio"])
                found = await pipe.execute()
            for chapter, (text, audio) in zip(batch, found, strict=True):
                if text:
                    named.add(paths.text_path(user, project, chapter, text.decode()))
                if audio:
                    named |= {path(user, audio.decode()) for path in (paths.audio_path, paths.report_path)}
        return named


def _named_by(user: str, record: dict[str, str]) -> set[str]:
    """The files that a project itself names."""
    project = Project.from_record(record)
    made = [(PurePosixPath(one.download_url).stem, one.format) for one in books.books_of(record, "")]
    return {
        paths.manuscript_path(user, project.id),
        paths.cover_path(user, project.id),
        *(paths.book_path(user, name, format) for name, format in made),
    }


def _is_older(file: File, than: timedelta) -> bool:
    return file.modified < datetime.now(UTC) - than
