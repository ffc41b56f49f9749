"""Chapters out of text, as a program of its own: `python -m workers.manuscript.splitter TEXT ORDER`.

There are texts of a few hundred kilobytes that keep a Markdown parser busy for hours, and no thread can be ended. So
this runs where the system bounds time and memory (`workers.manuscript.program`), and imports as little as it can.

`TEXT` is the file with the text, `ORDER` one with an `Order` as JSON. It prints the chapters, or why there are none, as
JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

from app.core.errors import JobError, Unprocessable
from app.core.text import clean, decode
from workers.manuscript import chapters, markdown
from workers.manuscript.model import Manuscript

OUT_OF_MEMORY = 3
"""The exit status where memory did not suffice."""

_WIDEST_CHARACTER = 4  # bytes, in any encoding


class Order(TypedDict):
    """`format`: `txt` or `md` as they came; anything else is pandoc's Markdown. `title`: the book's, unless it tells
    its own."""

    format: str
    title: str
    max_chapters: int
    max_characters: int


def main(text: Path, order: Path) -> None:
    """Does what `order` says."""
    try:
        _print(text, order)
    except (MemoryError, RecursionError):
        # At once: an orderly exit wants memory too.
        os._exit(OUT_OF_MEMORY)


def _print(text: Path, order: Path) -> None:
    try:
        made = _made(text.read_bytes(), json.loads(order.read_text()))
        found: dict[str, Any] = {"title": made.title, "chapters": [(one.title, one.text) for one in made.chapters]}
    except Unprocessable as error:
        found = {"code": error.code, "message": error.detail}
    except JobError as error:
        found = {"code": error.code, "message": error.message}
    json.dump(found, sys.stdout)


def _made(content: bytes, order: Order) -> Manuscript:
    if order["format"] not in ("txt", "md"):
        text = clean(content.decode("utf-8", errors="replace"))
    elif len(content) > order["max_characters"] * _WIDEST_CHARACTER:
        raise _too_many_characters(order)
    else:
        text = decode(content)
    if order["format"] == "txt":
        manuscript = Manuscript(order["title"], chapters.split(text, order["title"]))
    else:
        manuscript = markdown.split(text, order["title"])
    _check(manuscript, order)
    return manuscript


def _check(manuscript: Manuscript, order: Order) -> None:
    if not any(char.isalnum() for chapter in manuscript.chapters for char in chapter.text):
        raise JobError("empty_text", "There is no text in it that could be read aloud.")
    if len(manuscript.chapters) > order["max_chapters"]:
        raise JobError("too_many_chapters", f"The manuscript has more than {order['max_chapters']} chapters.")
    if manuscript.characters > order["max_characters"]:
        raise _too_many_characters(order)


def _too_many_characters(order: Order) -> JobError:
    return JobError("too_many_characters", f"The manuscript has more than {order['max_characters']} characters.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
