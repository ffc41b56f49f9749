"""Manuscripts, texts and audio: objects in a folder or a bucket, and where each of them lies."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self
from urllib.parse import unquote, urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, S3Store, from_url

from app.core import bucket
from app.core.errors import NotFound, Problem, Unavailable
from app.core.settings import Settings
from app.core.storage import s3
from app.core.storage.paths import SEGMENTS

logger = structlog.get_logger()


_CHECK = ".check"
_CHUNK = 256 * 1024
_PARTS_AT_ONCE = 1  # of 5 MiB, the least that S3 takes: more of them would be held in memory
_UNFINISHED = re.compile(r".*#\d+")  # the file that a folder's object is until it is whole; no object is called so


class File(NamedTuple):
    """An object as a listing shows it; `size` in bytes."""

    path: str
    size: int
    modified: datetime


class Storage:
    """One bucket or folder, by URL. What is not there is NotFound; a place that cannot be used is Unavailable."""

    def __init__(self, url: str, access: bucket.BucketAccess | None = None) -> None:
        self._store = _open(url, access or bucket.BucketAccess())
        self._folder = _folder(url)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The place that the settings name."""
        return cls(settings.storage, settings.s3_access)

    async def put(self, path: str, content: bytes | Path | BinaryIO, media_type: str | None = None) -> None:
        """Writes an object whole or not at all; a file is sent in pieces. A bucket remembers its media type."""
        # A folder has no place for it.
        known = {"Content-Type": media_type} if media_type and isinstance(self._store, S3Store) else None
        try:
            await obstore.put_async(self._store, path, content, max_concurrency=_PARTS_AT_ONCE, attributes=known)
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def get(self, path: str) -> bytes:
        """An object as a whole."""
        try:
            found = await obstore.get_async(self._store, path)
            return bytes(await found.bytes_async())
        except (BaseError, OSError) as error:
            raise _problem(error) from error

    async def fetch(self, path: str, target: Path) -> None:
        """Copies an object into the file `target`, piece by piece."""
        size, _ = await self.size(path)
        with target.open("wb") as file:
            async for chunk in self.chunks(path, 0, size):
                await asyncio.to_thread(file.write, chunk)

    async def size(self, path: str) -> tuple[int, str]:
        """Size in bytes of an object, and how its store calls the version (in a folder, by its inode and time)."""
        try:
            meta = await obstore.head_async(self._store, path)
        except (BaseError, OSError) as error:
            raise _problem(error) from error
        return meta["size"], meta["e_tag"] or f'"{meta["size"]}-{meta["last_modified"].timestamp()}"'

    async def chunks(self, path: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes `start` to `end` (exclusive) of an object, in chunks."""
        try:
            found = await obstore.get_async(self._store, path, options={"range": (start, end)})
            async for chunk in found.stream(min_chunk_size=_CHUNK):
                yield bytes(chunk)
        except (BaseError, OSError) as error:
            raise _problem(error) from error

    async def has(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            await self.size(path)
        except NotFound:
            return False
        return True

    async def files(self, prefix: str) -> AsyncIterator[File]:
        """Everything below `prefix`."""
        try:
            async for batch in obstore.list(self._store, prefix):
                for meta in batch:
                    yield File(meta["path"], meta["size"], meta["last_modified"])
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def folders(self, prefix: str = "") -> list[str]:
        """The folders right below `prefix`, as whole paths."""
        try:
            found = await obstore.list_with_delimiter_async(self._store, prefix or None)
        except FileNotFoundError:
            return []
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        return list(found["common_prefixes"])

    async def delete(self, paths: Sequence[str]) -> None:
        """Deletes these objects; one that is not there is no matter."""
        try:
            await obstore.delete_async(self._store, list(paths))
        except FileNotFoundError:
            # One of several is gone: then one by one, so that none is left for it.
            for path in paths if len(paths) > 1 else []:
                await self.delete([path])
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def delete_all(self, prefix: str) -> None:
        """Deletes everything below `prefix`, and what of it was never finished."""
        try:
            async for batch in obstore.list(self._store, prefix):
                await self.delete([meta["path"] for meta in batch])
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder / prefix, ignore_errors=True)

    async def delete_unfinished(self, before: datetime) -> int:
        """Deletes what was begun `before` and never finished, as by a worker that was killed; how many there were.

        A bucket has rules of its own for that.
        """
        return 0 if self._folder is None else await asyncio.to_thread(_delete_unfinished, self._folder, before)

    async def link(self, path: str, seconds: int) -> str:
        """An address at which anybody may read an object of a bucket for so long."""
        assert isinstance(self._store, S3Store), "only a bucket signs"
        try:
            return str(await obstore.sign_async(self._store, "GET", path, timedelta(seconds=seconds)))
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    async def check(self) -> None:
        """Raises Unavailable where nothing can be written."""
        await self.put(_CHECK, b"")

    async def examine(self) -> None:
        """Tries all that is ever done with objects. Raises Problem, whose cause says what is wrong."""
        await self.put(_CHECK, b"checked")
        await self.get(_CHECK)
        await self.delete([_CHECK])
        async for _ in self.files(f"{SEGMENTS}/.none"):
            pass


def _open(url: str, access: bucket.BucketAccess) -> ObjectStore:
    if (folder := _folder(url)) is not None:
        return LocalStore(folder, automatic_cleanup=True, mkdir=True)
    return s3.open_bucket(url, access) if bucket.is_s3(url) else from_url(url)


def _folder(url: str) -> Path | None:
    """The folder that a URL names; None where it names a bucket."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _delete_unfinished(folder: Path, before: datetime) -> int:
    found = [
        Path(parent, name) for parent, _, names in os.walk(folder) for name in names if _UNFINISHED.fullmatch(name)
    ]
    count = 0
    for path in found:
        with suppress(FileNotFoundError):  # whoever wrote it has finished
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
                count += 1
    return count


def _problem(error: Exception) -> Problem:
    if isinstance(error, FileNotFoundError):
        return NotFound("There is no such file.")
    return _unavailable(error)


def _unavailable(error: Exception) -> Problem:
    # The rest of the text is a dump for those who make the library.
    logger.warning("storage_failed", error=str(error).partition("\n\nDebug source")[0][:500])
    return Unavailable("The storage cannot be used just now; try again.", code="storage_unavailable", retry_after=5)
