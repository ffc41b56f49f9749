"""Manuscripts of every format, built as real books are, are found to be what the table says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.core.manuscripts.formats import FORMATS, HEAD_BYTES, format_of
from app.core.manuscripts.text import decode, language_of
from tests.manuscripts.books import BOOKS
from workers.core.report import Pace
from workers.pipeline.parsing import Parsed, parse
from workers.speech.segments import segments

EXPECTED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("expected.json").read_text("utf-8"))
_SEGMENT = 400  # characters


async def found_in(what: str, folder: Path) -> Parsed:
    """What is found in the manuscript called `what`."""
    name, build = BOOKS[what]
    source = folder / "source"
    source.write_bytes(build())
    format = format_of(name, source.read_bytes()[:HEAD_BYTES])
    return await parse(source, format, Path(name).stem, "en", _silent)


async def _silent(stage: str, done: int, total: int, pace: Pace | None = None) -> None:
    """Nobody listens."""


def document(found: Parsed) -> dict[str, Any]:
    """What is found, as the table has it; hundreds of chapters as a pattern."""
    titles = [("" if chapter.confidence == "high" else "? ") + chapter.title for chapter in found.chapters]
    return {
        "title": found.title,
        "author": found.author,
        "language": found.language,
        "cover": bool(found.cover),
        "chapters": titles,
        "charactersIn": found.characters_in,
        "charactersSpoken": found.characters_spoken,
        "leftOut": found.left_out,
    }


def test_table_and_corpus_are_of_one_size_and_hold_every_format() -> None:
    assert list(EXPECTED) == list(BOOKS)
    assert len(BOOKS) >= 25
    assert {format_of(name, build()[:HEAD_BYTES]) for name, build in BOOKS.values()} == set(FORMATS)


@pytest.mark.parametrize("what", BOOKS)
async def test_manuscript_is_found_to_be_what_the_table_says(what: str, tmp_path: Path) -> None:
    expected = EXPECTED[what]
    if "count" in expected["chapters"]:
        count, title = expected["chapters"]["count"], expected["chapters"]["each"]
        expected = expected | {"chapters": [title.replace("{}", str(number)) for number in range(1, count + 1)]}
    found = await found_in(what, tmp_path)
    assert document(found) == expected
    # Nothing is dropped without a reason, and the reasons account for all of it.
    assert found.characters_in == found.characters_spoken + sum(found.left_out.values())
    assert "other" not in found.left_out


@pytest.mark.parametrize("what", BOOKS)
async def test_segments_together_are_the_text_that_is_spoken(what: str, tmp_path: Path) -> None:
    found = await found_in(what, tmp_path)
    for chapter in found.chapters:
        assert "".join(segments(chapter.text, language_of(chapter.text, "en"), _SEGMENT)) == chapter.text


@pytest.mark.parametrize("what", [what for what, (name, _) in BOOKS.items() if name.endswith(".txt")])
async def test_plain_text_is_spoken_to_the_last_character(what: str, tmp_path: Path) -> None:
    _, build = BOOKS[what]
    text = decode(build())
    found = await found_in(what, tmp_path)
    assert found.characters_in == len("".join(text.split()))
    if not found.left_out:
        # A chapter that was made of what stands before the first heading has the book's title, which is not in it.
        titles = [chapter.title for chapter in found.chapters if chapter.title != found.title]
        spoken = sorted("".join("".join([*titles, *(chapter.text for chapter in found.chapters)]).split()))
        assert spoken == sorted("".join(text.split()))
