"""Assembly: the audio of a book's chapters in, one file out."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from app.core.aio import cancel_and_wait
from app.core.errors import JobError
from app.core.storage.filenames import safe
from app.core.vocabulary import BookFormat, Language
from workers.book import aac_part, m4b
from workers.book.book_storage import BookStorage
from workers.core.blocking import in_threads
from workers.core.report import Pace, ProgressCallback
from workers.core.scratch import scratch_dir

_AT_ONCE = 2
_STEP_BYTES = 4 << 20
_UNTITLED: dict[Language, str] = {"zh-CN": "未命名", "en": "Untitled"}
_UNKNOWN: dict[Language, str] = {"zh-CN": "佚名", "en": "Unknown Author"}
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}


@dataclass(frozen=True)
class Track:
    """One chapter: its place and title, the name of its audio, and how long that is in seconds."""

    position: int
    title: str
    name: str
    seconds: float


@dataclass(frozen=True)
class Edition:
    """The book that is wanted; `cover_type` is the media type of its cover, if it has one."""

    format: BookFormat
    title: str
    author: str
    language: Language
    cover_type: str
    tracks: Sequence[Track]


async def assemble(edition: Edition, shelf: BookStorage, report: ProgressCallback) -> int:
    """Puts the book together, and has `shelf` save it; its size in bytes.

    Reports `chapters` in seconds of sound, `join` and `upload` in bytes (a zip's `join` in seconds). What was encoded
    for an earlier book is taken from the shelf. All that it writes elsewhere is gone when this returns.
    Raises JobError (`bad_chapter_audio`), NotFound where a chapter's audio is gone, Unavailable, OSError.
    """
    with scratch_dir() as folder:
        book = folder / f"book.{edition.format}"
        if edition.format == "m4b":
            await _m4b(edition, shelf, report, folder, book)
        else:
            await _zip(edition, shelf, report, folder, book)
        await shelf.save(book, report)
        return book.stat().st_size


async def _m4b(edition: Edition, shelf: BookStorage, report: ProgressCallback, folder: Path, book: Path) -> None:
    parts = await _Encoding(edition.tracks, shelf, report, folder).parts()
    cover = folder / "cover"
    has_cover = bool(edition.cover_type) and await shelf.fetch_cover(cover)
    labels = m4b.Labels(edition.title, edition.author, edition.language, cover if has_cover else None)
    marks = [m4b.Mark(sound.title, path) for sound, path in zip(edition.tracks, parts, strict=True)]
    size = sum(path.stat().st_size for path in parts)
    await report("join", 0, size)
    async with aclosing(in_threads(m4b.join(marks, labels, book))) as joining:
        async for done in joining:
            await report("join", min(done, size), size)


class _Encoding:
    """The parts of a book: two at once are encoded, those that were kept are fetched."""

    def __init__(self, tracks: Sequence[Track], shelf: BookStorage, report: ProgressCallback, folder: Path) -> None:
        self._tracks = tracks
        self._shelf = shelf
        self._report = report
        self._folder = folder
        self._done = [0.0] * len(tracks)
        self._encoded = [0.0] * len(tracks)
        self._kept = 0.0
        self._has_kept = False

    async def parts(self) -> list[Path]:
        """The files of all parts, in order."""
        await self._tell()
        waiting = iter(range(len(self._tracks)))
        working = [asyncio.create_task(self._some(waiting)) for _ in range(_AT_ONCE)]
        try:
            await asyncio.gather(*working)
        finally:
            await cancel_and_wait(*working)
        return [self._path(number) for number in range(len(self._tracks))]

    async def _some(self, waiting: Iterator[int]) -> None:
        for number in waiting:
            await self._one(number)

    async def _one(self, number: int) -> None:
        track, path = self._tracks[number], self._path(number)
        if await self._shelf.fetch_part(track.name, path):
            self._kept += track.seconds
        else:
            await self._encode(number, track, path)
        self._done[number] = track.seconds
        await self._tell()

    async def _encode(self, number: int, track: Track, path: Path) -> None:
        source = self._folder / f"{number}.mp3"
        await self._shelf.fetch_sound(track.name, source)
        try:
            async with aclosing(in_threads(aac_part.encode(source, path))) as encoding:
                async for seconds in encoding:
                    self._done[number] = self._encoded[number] = min(float(seconds), track.seconds)
                    await self._tell()
        except (ValueError, IndexError) as error:
            raise JobError(
                "bad_chapter_audio", f"The audio of chapter {track.position} cannot be read; generate it again."
            ) from error
        self._encoded[number] = track.seconds
        source.unlink()
        await self._shelf.keep_part(track.name, path)
        self._has_kept = True

    async def _tell(self) -> None:
        total = sum(track.seconds for track in self._tracks)
        encoded = int(sum(self._encoded))
        pace = Pace(encoded, max(int(total - self._kept), encoded), kept=self._has_kept)
        await self._report("chapters", int(sum(self._done)), max(int(total), 1), pace)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.m4a"


async def _zip(edition: Edition, shelf: BookStorage, report: ProgressCallback, folder: Path, book: Path) -> None:
    """The form that audiobookshelf reads: `Author/Title/NN - Chapter.mp3`, with the cover beside them."""
    place = "/".join(
        (safe(edition.author, _UNKNOWN[edition.language]), safe(edition.title, _UNTITLED[edition.language]))
    )
    digits = max(2, len(str(max(sound.position for sound in edition.tracks))))
    total = max(int(sum(sound.seconds for sound in edition.tracks)), 1)
    await report("join", 0, total)
    done = 0.0
    with ZipFile(book, "w", ZIP_STORED) as archive:
        cover = folder / "cover"
        if edition.cover_type in _EXTENSIONS and await shelf.fetch_cover(cover):
            await _add(archive, cover, f"{place}/cover.{_EXTENSIONS[edition.cover_type]}")
        for sound in edition.tracks:
            file = folder / "chapter.mp3"
            await shelf.fetch_sound(sound.name, file)
            title = safe(sound.title, _UNTITLED[edition.language])
            await _add(archive, file, f"{place}/{sound.position:0{digits}} - {title}.mp3")
            done += sound.seconds
            await report("join", int(done), total)


async def _add(archive: ZipFile, file: Path, name: str) -> None:
    """Stores a file as it is: mp3 and pictures do not become smaller."""
    async with aclosing(in_threads(_copied(archive, file, name))) as copying:
        async for _ in copying:
            pass


def _copied(archive: ZipFile, file: Path, name: str) -> Generator[int]:
    info = ZipInfo(name)  # of a date that is always the same
    info.external_attr = 0o644 << 16
    info.file_size = file.stat().st_size
    with file.open("rb") as source, archive.open(info, "w") as target:
        while chunk := source.read(_STEP_BYTES):
            target.write(chunk)
            yield len(chunk)
