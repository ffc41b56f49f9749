"""Parsing: the bytes of a manuscript in, its chapters out."""

from __future__ import annotations

import asyncio

from app.core.errors import JobError, Unprocessable
from app.core.messages import Language
from app.core.text import clean, decode
from workers.manuscript import chapters, markdown
from workers.manuscript.convert import to_markdown
from workers.manuscript.model import Chapter, Manuscript
from workers.report import Report

__all__ = ["Chapter", "Manuscript", "parse"]

MAX_CHAPTERS = 2000
MAX_CHARACTERS = 5_000_000
_UNTITLED: dict[Language, str] = {"zh-CN": "未命名", "en": "Untitled"}


async def parse(
    data: bytes,
    format: str,
    title: str,
    language: Language,
    report: Report,
    *,
    max_chapters: int = MAX_CHAPTERS,
    max_characters: int = MAX_CHARACTERS,
) -> Manuscript:
    """The manuscript in `data`, a file of `format` (a name in `app.core.formats.FORMATS`).

    `title` is for a book that does not tell its own, and for chapters without one; empty, the `language` has a word
    for it. Reports the stages `read`, `convert` and `split`. Raises JobError: the codes of
    `workers.manuscript.convert` and `app.core.text`, `too_many_chapters`, `too_many_characters`.
    """
    title = title.strip() or _UNTITLED[language]
    await report("read", 0, 0)
    try:
        if format in ("txt", "md"):
            text = await asyncio.to_thread(decode, data)
            await report("convert", 0, 0)
        else:
            await report("convert", 0, 0)
            text = await asyncio.to_thread(clean, await to_markdown(data, format))
    except Unprocessable as error:
        raise JobError(error.code, error.detail) from error
    await report("split", 0, 0)
    manuscript = await asyncio.to_thread(_split, text, format, title)
    _check(manuscript, max_chapters, max_characters)
    return manuscript


def _split(text: str, format: str, title: str) -> Manuscript:
    if format == "txt":
        return Manuscript(title, chapters.split(text, title))
    return markdown.split(text, title)


def _check(manuscript: Manuscript, max_chapters: int, max_characters: int) -> None:
    if not any(char.isalnum() for chapter in manuscript.chapters for char in chapter.text):
        raise JobError("empty_text", "There is no text in it that could be read aloud.")
    if len(manuscript.chapters) > max_chapters:
        raise JobError("too_many_chapters", f"The manuscript has more than {max_chapters} chapters.")
    if manuscript.characters > max_characters:
        raise JobError("too_many_characters", f"The manuscript has more than {max_characters} characters.")
