"""The files of users' projects, each counted as it is written and as it goes (see `app.core.projects.quotas`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from app.core.errors import NotFound
from app.core.projects.quotas import Quotas
from app.core.storage import paths
from app.core.storage.object_store import File, Storage


class CountedFiles:
    """The files of all users in one storage."""

    def __init__(self, store: Storage, usage: Quotas) -> None:
        self.store = store
        self.usage = usage

    async def put(
        self, user: str, project: str, path: str, content: bytes | Path | BinaryIO, media_type: str | None = None
    ) -> None:
        """Writes a file of a project. Raises TooMany (`storage_full`), Unavailable, RedisError."""
        more = size_of(content) - await self._size(path)
        async with self.usage.room(user, bytes=more) as room:
            await self.store.put(path, content, media_type)
            await room.settle(project, bytes=more)

    async def delete(self, user: str, project: str, files: Sequence[File]) -> None:
        """Deletes files of a project. Raises Unavailable, RedisError."""
        await self.store.delete([file.path for file in files])
        await self.usage.add(user, project, bytes=-sum(file.size for file in files))

    async def measure(self, user: str, project: str) -> int:
        """How many bytes a project's files have, without its segments. Raises Unavailable."""
        prefix = paths.project_prefix(user, project)
        return sum([file.size async for file in self.store.files(prefix)])

    async def _size(self, path: str) -> int:
        try:
            size, _ = await self.store.size(path)
        except NotFound:
            return 0
        return size


def size_of(content: bytes | Path | BinaryIO) -> int:
    """How many bytes are to be written."""
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, Path):
        return content.stat().st_size
    place = content.tell()
    size = content.seek(0, os.SEEK_END) - place
    content.seek(place)
    return size
