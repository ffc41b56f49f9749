"""Chapters out of text, as a program of its own: `python -m workers.manuscript.splitter_program TEXT ORDER`.

There are texts of a few hundred kilobytes that keep a Markdown parser busy for hours, and no thread can be ended. So
this runs where the system bounds time and memory (`workers.manuscript.sandboxed`), and imports as little as it can.

`TEXT` is the manuscript as `workers.manuscript.safe_copy` copied it, `ORDER` a file with a `SplitRequest` as JSON. It
prints a `Found` or a `Refusal` as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

from app.core.errors import JobError, Unprocessable
from app.core.manuscripts.text import decode, scrubbed
from app.core.projects.text_lengths import MAX_AUTHOR, MAX_LANGUAGE_TAG, shortened
from workers.manuscript import (
    docx,
    epub,
    fictionbook,
    markdown,
    marked_chapters,
    markup,
    metadata,
    odt,
    plain_chapters,
    rtf,
)
from workers.manuscript.model import Confidence, Manuscript

OUT_OF_MEMORY = 3
"""The exit status where memory did not suffice."""

COVER = "cover"
"""The file that the cover's picture is written to, in the folder that the program runs in."""

_WIDEST_CHARACTER = 4  # bytes, in any encoding


class SplitRequest(TypedDict):
    """`format`: that of the manuscript. `title`: the book's, unless it tells its own."""

    format: str
    title: str
    max_chapters: int
    max_characters: int
    max_chapter_characters: int


class Found(TypedDict):
    """What was found. `chapters`: title, text and confidence of each. `cover`: the name of its picture in an archive;
    where the picture is in the text, it is written to a file `cover`."""

    title: str
    author: str
    language: str
    cover: str
    chapters: list[tuple[str, str, Confidence]]
    characters_in: int
    characters_spoken: int
    left_out: dict[str, int]


class Refusal(TypedDict):
    """Why there is nothing."""

    code: str
    message: str


def main(text: Path, order: Path) -> None:
    """Does what `order` says."""
    try:
        _print(text, order)
    except (MemoryError, RecursionError):
        # At once: an orderly exit wants memory too.
        os._exit(OUT_OF_MEMORY)


def _print(text: Path, order: Path) -> None:
    found: Found | Refusal
    try:
        made, cover = manuscript_of(text, json.loads(order.read_text()))
        found = Found(
            title=shortened(made.title),
            author=shortened(made.author, MAX_AUTHOR),
            language=made.language[:MAX_LANGUAGE_TAG],
            cover=cover,
            chapters=[(shortened(one.title), one.text, one.confidence) for one in made.chapters],
            characters_in=made.tally.characters_in,
            characters_spoken=made.characters_spoken,
            left_out=made.left_out,
        )
    except Unprocessable as error:
        found = Refusal(code=error.code, message=error.detail)
    except JobError as error:
        found = Refusal(code=error.code, message=error.message)
    json.dump(found, sys.stdout)


def manuscript_of(text: Path, order: SplitRequest) -> tuple[Manuscript, str]:
    """The manuscript, and what its cover is called. Raises JobError, Unprocessable."""
    format, title, cover = order["format"], order["title"], ""
    if format == "epub":
        with zipfile.ZipFile(text) as archive:
            manuscript, cover = epub.read(archive, title)
    elif format == "txt":
        manuscript = plain_chapters.read(_decoded(text, order), title, longest=order["max_chapter_characters"])
    elif format == "md":
        manuscript = markdown.split(_decoded(text, order), title, longest=order["max_chapter_characters"])
    else:
        manuscript, cover = _of_markup(text, order)
    # Here, for every format in the same way; what a format cut by itself is no longer than that.
    cut = [part for one in manuscript.chapters for part in plain_chapters.cut(one, order["max_chapter_characters"])]
    manuscript = replace(manuscript, chapters=cut)
    _check(manuscript, order)
    return manuscript, cover


def _of_markup(text: Path, order: SplitRequest) -> tuple[Manuscript, str]:
    document = markup.read(scrubbed(_html(text, order["format"])))
    said = metadata.said(text, order["format"])
    document.title, document.author = document.title or said.title, document.author or said.author
    document.language = document.language or said.language
    if said.cover:
        Path(COVER).write_bytes(said.cover)
    longest = order["max_chapter_characters"]
    return marked_chapters.manuscript(document, order["title"], longest=longest), COVER if said.cover else ""


def _html(text: Path, format: str) -> str:
    match format:
        case "docx" | "odt":
            with zipfile.ZipFile(text) as archive:
                return docx.read(archive) if format == "docx" else odt.read(archive)
        case "fb2":
            return fictionbook.read(text)
        case "rtf":
            return rtf.read(text.read_bytes())
        case _:
            return text.read_text("utf-8", errors="replace")


def _decoded(text: Path, order: SplitRequest) -> str:
    if text.stat().st_size > order["max_characters"] * _WIDEST_CHARACTER:
        raise _too_many_characters(order)
    return decode(text.read_bytes())


def _check(manuscript: Manuscript, order: SplitRequest) -> None:
    if not any(char.isalnum() for chapter in manuscript.chapters for char in chapter.text):
        raise JobError("empty_text", "There is no text in it that could be read aloud.")
    if len(manuscript.chapters) > order["max_chapters"]:
        raise JobError("too_many_chapters", f"The manuscript has more than {order['max_chapters']} chapters.")
    if manuscript.characters > order["max_characters"]:
        raise _too_many_characters(order)


def _too_many_characters(order: SplitRequest) -> JobError:
    return JobError("too_many_characters", f"The manuscript has more than {order['max_characters']} characters.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
