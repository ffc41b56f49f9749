"""Where a book's pieces come from and where it goes: the storage of one project."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Protocol

from app.core.errors import NotFound
from app.core.projects.counted_files import CountedFiles
from app.core.storage import paths
from app.core.vocabulary import BookFormat
from workers.book.aac_part import BIT_RATE, EDITION, RATE
from workers.core.report import ProgressCallback

_LOOK_SECONDS = 0.3
_NAME_CHARACTERS = 40


class BookStorage(Protocol):
    """What a book is made from. `sound` is the name of a chapter's audio. All raise Unavailable."""

    async def fetch_sound(self, sound: str, target: Path) -> None:
        """Copies a chapter's mp3 to `target`. Raises NotFound."""
        ...

    async def fetch_part(self, sound: str, target: Path) -> bool:
        """Copies what was kept of an earlier book to `target`; False where nothing was."""
        ...

    async def keep_part(self, sound: str, part: Path) -> None:
        """Keeps a part for the next book."""
        ...

    async def fetch_cover(self, target: Path) -> bool:
        """Copies the cover to `target`; False where there is none."""
        ...

    async def save(self, book: Path, report: ProgressCallback) -> None:
        """Stores the book; reports `upload` by its bytes."""
        ...


class ProjectBookStorage:
    """The shelf of one project, for the book called `name`."""

    def __init__(self, files: CountedFiles, user: str, project: str, name: str, format: BookFormat) -> None:
        self._store = files.store
        self._files = files
        self._user = user
        self._project = project
        self._path = paths.book_path(user, name, format)

    async def fetch_sound(self, sound: str, target: Path) -> None:
        await self._store.fetch(paths.audio_path(self._user, sound), target)

    async def fetch_part(self, sound: str, target: Path) -> bool:
        try:
            await self._store.fetch(self._part(sound), target)
        except NotFound:
            return False
        return True

    async def keep_part(self, sound: str, part: Path) -> None:
        """Keeps it as long as there is room, as for a segment."""
        size = (await asyncio.to_thread(part.stat)).st_size
        if await self._files.usage.add_segment(self._user, self._project, size):
            await self._store.put(self._part(sound), part)

    async def fetch_cover(self, target: Path) -> bool:
        try:
            await self._store.fetch(paths.cover_path(self._user, self._project), target)
        except NotFound:
            return False
        return True

    async def save(self, book: Path, report: ProgressCallback) -> None:
        size = (await asyncio.to_thread(book.stat)).st_size
        await report("upload", 0, size)
        with book.open("rb", buffering=0) as file:
            saving = asyncio.create_task(self._files.put(self._user, self._project, self._path, file))
            try:
                while not (await asyncio.wait([saving], timeout=_LOOK_SECONDS))[0]:
                    await report("upload", min(file.tell(), size), size)
            finally:
                saving.cancel()
                await asyncio.wait([saving])
            saving.result()

    def _part(self, sound: str) -> str:
        name = hashlib.sha256(f"{EDITION} {RATE} {BIT_RATE} {sound}".encode()).hexdigest()[:_NAME_CHARACTERS]
        return paths.part_path(self._user, self._project, name)
