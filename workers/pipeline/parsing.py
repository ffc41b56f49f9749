"""Parsing: from the file of a manuscript to its chapters."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from app.core.errors import JobError
from app.core.manuscripts.archive import Bounds
from app.core.vocabulary import Language
from workers.core.report import ProgressCallback
from workers.core.scratch import scratch_dir
from workers.manuscript import cover, splitter_program
from workers.manuscript.model import Chapter
from workers.manuscript.plain_chapters import MAX_CHAPTER
from workers.manuscript.safe_copy import BOUNDS, copy_for_reading
from workers.manuscript.sandboxed import Program, produced, run
from workers.sandbox import python_modules
from workers.sandbox.limits import FileAccess, Limits

__all__ = ["Chapter", "Parsed", "parse"]

MAX_CHAPTERS = 2000
MAX_CHARACTERS = 5_000_000
TIMEOUT = 60.0  # seconds for the splitting alone
_ADDRESSES = 768 * 1024 * 1024
_MAX_OUTPUT = 128 * 1024 * 1024
_UNTITLED: dict[Language, str] = {"zh-CN": "未命名", "en": "Untitled"}


@dataclass(frozen=True)
class Parsed:
    """A parsed manuscript. `language`: as it states it, such as `zh-Hans`; empty if it does not.

    `characters_in` and `characters_spoken` count visible characters: all of the manuscript's, and those that are read
    aloud; `left_out` counts the others by reason. `cover` is the picture's bytes, empty without one that
    `workers.manuscript.cover` knows.
    """

    title: str
    chapters: list[Chapter]
    author: str = ""
    language: str = ""
    cover: bytes = field(default=b"", repr=False)
    characters_in: int = field(default=0, compare=False)
    characters_spoken: int = field(default=0, compare=False)
    left_out: dict[str, int] = field(default_factory=dict, compare=False)

    @property
    def characters(self) -> int:
        """The number of characters of all chapters' texts."""
        return sum(len(chapter.text) for chapter in self.chapters)


async def parse(
    source: Path,
    format: str,
    title: str,
    language: Language,
    report: ProgressCallback,
    *,
    max_chapters: int = MAX_CHAPTERS,
    max_characters: int = MAX_CHARACTERS,
    max_chapter_characters: int = MAX_CHAPTER,
    bounds: Bounds = BOUNDS,
    timeout: float = TIMEOUT,
) -> Parsed:
    """Parse the manuscript in the file `source` of `format` (a name in `app.core.manuscripts.formats.FORMATS`).

    `title` is for a book that does not state its own, and for chapters without one; if empty, a word of `language` is
    used. Reports the stages `read`, `convert` and `split`. Raises JobError: the codes of
    `workers.manuscript.safe_copy`, `workers.manuscript.sandboxed` and `app.core.manuscripts.text`, `too_many_chapters`,
    `too_many_characters`.
    """
    await report("read", 0, 0)
    with scratch_dir() as folder:
        # In the folder of the program, which sees no other.
        text = folder / "text"
        await report("convert", 0, 0)
        if format in ("txt", "md"):
            await asyncio.to_thread(shutil.copyfile, source, text)
        else:
            await copy_for_reading(source, text, format, bounds=bounds)
        await report("split", 0, 0)
        order = splitter_program.SplitRequest(
            format=format,
            title=title.strip() or _UNTITLED[language],
            max_chapters=max_chapters,
            max_characters=max_characters,
            max_chapter_characters=max_chapter_characters,
        )
        found = await _split(text, order, folder, timeout)
        picture = await asyncio.to_thread(_cover, found["cover"], folder, source, format, bounds)
    return Parsed(
        title=found["title"],
        chapters=[Chapter(*chapter) for chapter in found["chapters"]],
        author=found["author"],
        language=found["language"],
        cover=picture,
        characters_in=found["characters_in"],
        characters_spoken=found["characters_spoken"],
        left_out=found["left_out"],
    )


async def _split(
    text: Path, order: splitter_program.SplitRequest, folder: Path, timeout: float
) -> splitter_program.Found:
    asked, output = folder / "order.json", folder / "chapters.json"
    asked.write_text(json.dumps(order))
    limits = Limits(
        _ADDRESSES, cpu_seconds=int(timeout) + 1, output=_MAX_OUTPUT, exhausted=[splitter_program.OUT_OF_MEMORY]
    )
    access = FileAccess(read=python_modules.readable(), write=[folder])
    command = python_modules.command(splitter_program.__name__, text.name, asked.name)
    program = Program(command, timeout, limits, access)
    await run(program, folder, output)
    answer = json.loads(produced(output, _MAX_OUTPUT))
    if "code" in answer:
        raise JobError(answer["code"], answer["message"])
    found: splitter_program.Found = answer
    return found


def _cover(name: str, folder: Path, source: Path, format: str, bounds: Bounds) -> bytes:
    """Return the cover's picture, if it is of a kind that is served."""
    if not name:
        return b""
    if format == "epub":
        picture = cover.from_archive(source, name, format, bounds)
    else:
        picture = produced(folder / splitter_program.COVER, _MAX_OUTPUT)
        picture = picture if len(picture) <= cover.MAX_SIZE else b""
    return picture if cover.type_of(picture) else b""
