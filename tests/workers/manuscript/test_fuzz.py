"""Whatever bytes come in, each step of reading a manuscript ends, with a result or with a documented refusal.

`SMARTVOICE_SOAK_EXAMPLES` says how many files are made up for each step; without it the same few hundred each time.
"""

from __future__ import annotations

import asyncio
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import JobError, Problem
from app.core.manuscripts.archive import NEEDED, Bounds, inflate, inspect
from app.core.manuscripts.formats import FORMATS, HEAD_BYTES, format_of
from app.core.manuscripts.markup import check_prolog
from app.core.manuscripts.text import beginning, decode, encoding_of, language_of, title_of
from tests import harmful_files
from tests.faults.rig import memory_kb
from workers.manuscript import markdown, plain_chapters, splitter_program
from workers.manuscript.archive import copy_safely
from workers.manuscript.safe_copy import copy_for_reading, make_safe

_SOAK = os.environ.get("SMARTVOICE_SOAK_EXAMPLES")
_EXAMPLES = int(_SOAK or 600)
_CONVERSIONS = max(150, _EXAMPLES // 20)
_MAX_GROWTH_MB = 60
BOUNDS = Bounds(entries=100, inflated=1_000_000)

REFUSALS = {
    "bad_archive",
    "empty_text",
    "encrypted",
    "inflated_too_large",
    "nested_archive",
    "not_text",
    "too_many_entries",
    "unsafe_name",
    "unsafe_xml",
    "unsupported_format",
    "wrong_magic",
}
CONVERSIONS = {"conversion_failed", "conversion_timeout", "conversion_too_large"}
GOOD = {
    "epub": harmful_files.archive(harmful_files.epub("Text &lt; 你好。")),
    "docx": harmful_files.with_zipfile(harmful_files.docx("Text &lt; 你好。")),
    "odt": harmful_files.archive(harmful_files.odt("Text &lt; 你好。")),
    "fb2": harmful_files.fb2("Text &lt; 你好。", "<!DOCTYPE FictionBook>"),
    "html": b"<!DOCTYPE html><html><meta charset='gb2312'><h1>One</h1><p>Text <b>bold</b></p><!-- a --></html>",
    "rtf": b"{\\rtf1\\ansi{\\fonttbl\\f0 Times;}\\f0\\pard Text \\b bold\\b0 \\u20320?\\par}",
    "txt": "第一章 少年\n他来了。\n\nChapter 2: The Return\nHe left.\n".encode("gb18030"),
    "md": b"---\na: x\n---\n# One\n\nText *bold* [link](x) ![image](y)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> * q\n",
}
assert GOOD.keys() == FORMATS.keys()
PIECES = [
    *[
        "#",
        "\n",
        "\n\n",
        "*",
        "_",
        "`",
        "```",
        "[",
        "](",
        ")",
        "!",
        "<",
        ">",
        "<!--",
        "-->",
        "<a ",
        "</",
        "&",
        "&#x",
        "|",
    ],
    *["-|-", "---", "===", "\t", "  ", "\\", "~~", ":", '"', "'", "1.", "+ ", "a", "Chapter 1", "第一章", "。"],
    *["\x85", "\u2028"],
]
ENCODINGS = ["utf-7", "punycode", "idna", "rot13", "zip", "utf-16", "gbk", "hz", "cp037", "x"]

made_up = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    database=None,
    derandomize=_SOAK is None,
    suppress_health_check=list(HealthCheck),
)
Change = tuple[str, float, float, bytes]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["put", "insert", "cut", "repeat", "end"]),
        st.floats(0, 1),
        st.floats(0, 0.1),
        st.binary(min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)
NUMBERS = st.sampled_from([0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])


def changed(content: bytes, changes: list[Change]) -> bytes:
    """`content` after something has happened to it in a few places."""
    for kind, place, share, put in changes:
        at = int(place * len(content))
        end = at + int(share * len(content))
        if kind == "put":
            content = content[:at] + put + content[at + len(put) :]
        elif kind == "insert":
            content = content[:at] + put + content[at:]
        elif kind == "cut":
            content = content[:at] + content[end:]
        elif kind == "repeat":
            content = content[:end] + content[at:]
        elif place > 0.5:
            content = content[:at]
    return content


@st.composite
def files(draw: st.DrawFn, *formats: str) -> tuple[str, bytes]:
    """A format, and bytes that once were a file of it, or never."""
    format = draw(st.sampled_from(formats))
    if draw(st.integers(0, 9)) == 0:
        return format, draw(st.binary(max_size=500))
    return format, changed(GOOD[format], draw(CHANGES))


@st.composite
def lying_archives(draw: st.DrawFn) -> tuple[str, bytes]:
    """Archives in good order, whose fields say what they like."""
    lies: dict[str, Any] = {
        "size": NUMBERS,
        "claims": NUMBERS,
        "flags": st.integers(0, 0xFFFF),
        "method": st.sampled_from([0, 8, 9, 12, 99]),
        "mode": st.integers(0, 0xFFFF),
        "crc": NUMBERS,
        "name": st.text(max_size=20).filter(lambda name: name.isprintable()),
    }
    rows = [harmful_files.Row(name, content) for name, content in harmful_files.epub().items()]
    for row in rows:
        for name in draw(st.sets(st.sampled_from(sorted(lies)), max_size=2)):
            setattr(row, name, draw(lies[name]))
    count = draw(st.none() | st.integers(0, 0xFFFF))
    return "epub", harmful_files.archive(rows, count=count, comment=draw(st.binary(max_size=30)))


@st.composite
def damaged_books(draw: st.DrawFn) -> tuple[str, bytes]:
    """Archives in good order, with documents in them that are not."""
    format, entries = draw(
        st.sampled_from([("docx", harmful_files.docx("Text")), ("epub", harmful_files.epub("Text"))])
    )
    name = draw(st.sampled_from(sorted(entries)))
    return format, harmful_files.archive({**entries, name: changed(entries[name], draw(CHANGES))})


@pytest.fixture(autouse=True)
def flat_memory() -> Iterator[None]:
    before = memory_kb(os.getpid())
    yield
    grown = (memory_kb(os.getpid()) - before) / 1024
    print(f"memory grew by {grown:.0f} MB")
    if _SOAK is None:
        assert grown < _MAX_GROWTH_MB


@contextmanager
def refusing(*more: str) -> Iterator[None]:
    """Only documented refusals are let pass."""
    try:
        yield
    except Problem as problem:
        assert problem.code in REFUSALS, problem.code  # noqa: PT017 - a refusal is one of two good ends
    except JobError as error:
        assert error.code in REFUSALS | set(more), error.code  # noqa: PT017 - likewise


@made_up
@given(files(*NEEDED) | lying_archives() | damaged_books())
def test_archive_is_inspected_and_inflated_or_refused(file: tuple[str, bytes]) -> None:
    format, content = file
    with refusing():
        entries = inspect(io.BytesIO(content), format, BOUNDS)
        assert sum(len(piece) for entry in entries for piece in inflate(io.BytesIO(content), entry)) <= BOUNDS.inflated


@made_up
@given(files(*NEEDED) | lying_archives() | damaged_books())
def test_archive_is_copied_or_refused(file: tuple[str, bytes]) -> None:
    format, content = file
    with tempfile.TemporaryDirectory() as folder, refusing():
        source, target = Path(folder, "source"), Path(folder, "target")
        source.write_bytes(content)
        copy_safely(source, target, format, BOUNDS)
        # What was written here holds no surprise any more.
        with target.open("rb") as copy:
            for entry in inspect(copy, format, BOUNDS):
                assert sum(len(piece) for piece in inflate(copy, entry)) == entry.size


@made_up
@given(files(*FORMATS), st.text(max_size=20))
def test_file_is_looked_at_or_refused(file: tuple[str, bytes], name: str) -> None:
    format, content = file
    for filename in (f"{name}.{format}", name):
        with refusing():
            assert format_of(filename, content[:HEAD_BYTES]) in FORMATS
    for whole in (True, False):
        with refusing():
            check_prolog(content, whole=whole)


@made_up
@given(files("txt", "md", "html") | st.tuples(st.just("txt"), st.binary(max_size=200)))
def test_bytes_are_text_or_refused(file: tuple[str, bytes]) -> None:
    _, content = file
    for read in (decode, lambda head: beginning(head, whole=True), lambda head: beginning(head, whole=False)):
        with refusing():
            _holds(read, content)
    content.decode(encoding_of(content), errors="replace")


def _holds(read: Callable[[bytes], str], content: bytes) -> None:
    text = read(content)
    assert not set(text) & set("\0\r\ufeff\u202e")
    assert len(title_of(text.partition("\n")[0])) <= 100
    assert language_of(text, "en") in {"en", "zh-CN"}


@made_up
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60).map("".join))
def test_any_text_falls_into_chapters(text: str) -> None:
    for found in (plain_chapters.read(text, "Book"), markdown.split(text, "Book")):
        assert all(chapter.title for chapter in found.chapters)
        assert found.characters <= 2 * len(text) + 100
        assert "other" not in found.left_out


@made_up
@given(files("md", "txt"))
def test_text_that_was_a_manuscript_falls_into_chapters(file: tuple[str, bytes]) -> None:
    format, content = file
    with refusing():
        text = decode(content)
        assert plain_chapters.split(text, "Book") if format == "txt" else markdown.split(text, "Book").chapters


@pytest.mark.timeout(120 + 5 * _CONVERSIONS)
@settings(made_up, max_examples=_CONVERSIONS)
@given(files("html", "fb2", "rtf") | damaged_books())
def test_document_is_read_or_refused(file: tuple[str, bytes]) -> None:
    format, content = file
    with tempfile.TemporaryDirectory() as folder, refusing(*CONVERSIONS):
        source, work = Path(folder, "source"), Path(folder, "work")
        work.mkdir()
        source.write_bytes(content)
        asyncio.run(copy_for_reading(source, work / "text", format))
        _read(work / "text", format)


def _read(text: Path, format: str) -> None:
    order = splitter_program.SplitRequest(
        format=format, title="Book", max_chapters=2000, max_characters=1_000_000, max_chapter_characters=100_000
    )
    found, _ = splitter_program.manuscript_of(text, order)
    assert all(chapter.title for chapter in found.chapters)
    assert "other" not in found.left_out


@pytest.mark.parametrize("format", ["html", "fb2"])
@made_up
@given(data=st.data())
def test_markup_is_brought_into_utf8_or_refused(format: str, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(ENCODINGS))
    _, content = data.draw(files(format))
    declared = b"<?xml version='1.0' encoding='" + name.encode() + b"'?>" + content
    with tempfile.TemporaryDirectory() as folder, refusing():
        source, target = Path(folder, "source"), Path(folder, "target")
        source.write_bytes(declared)
        make_safe(source, target, format, BOUNDS)
        target.read_bytes().decode()
