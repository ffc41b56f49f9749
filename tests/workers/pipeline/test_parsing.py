"""Any manuscript becomes chapters, and says on its way how far it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import JobError
from app.core.projects.text_lengths import MAX_TITLE
from app.core.vocabulary import PARSING, Language
from tests import harmful_files
from tests.workers.conftest import Reports
from workers.core.report import Pace, ProgressCallback
from workers.pipeline import parsing
from workers.pipeline.parsing import Chapter, Parsed

Parse = Callable[..., Awaitable[Parsed]]


@pytest.fixture
def parse(tmp_path: Path) -> Parse:
    """`workers.pipeline.parsing.parse` of bytes."""

    async def parse(
        data: bytes, format: str, title: str, language: Language, report: ProgressCallback, **limits: Any
    ) -> Parsed:
        source = tmp_path / "source"
        source.write_bytes(data)
        return await parsing.parse(source, format, title, language, report, **limits)

    return parse


async def test_txt_becomes_chapters(parse: Parse, reports: Reports) -> None:
    data = "第一章 少年\n他来了。\n第二章 归来\n他走了。".encode("gb18030")
    manuscript = await parse(data, "txt", "书", "zh-CN", reports)
    assert manuscript == Parsed("书", [Chapter("第一章 少年", "他来了。"), Chapter("第二章 归来", "他走了。")])
    assert manuscript.characters == 8


async def test_markdown_tells_its_own_title(parse: Parse, reports: Reports) -> None:
    manuscript = await parse(b"# Story\n\n## One\n\nA.\n\n## Two\n\nB.\n", "md", "file", "en", reports)
    assert manuscript == Parsed("Story", [Chapter("One", "A."), Chapter("Two", "B.")])


async def test_html_is_converted(parse: Parse, reports: Reports) -> None:
    manuscript = await parse(b"<h1>One</h1><p>A.</p><h1>Two</h1><p>B.</p>", "html", "Book", "en", reports)
    assert manuscript.chapters == [Chapter("One", "A."), Chapter("Two", "B.")]


@pytest.mark.parametrize(("format", "data"), [("txt", b"Text."), ("md", b"Text."), ("html", b"<p>Text.</p>")])
async def test_stages_are_reported_in_order(parse: Parse, reports: Reports, format: str, data: bytes) -> None:
    await parse(data, format, "Book", "en", reports)
    assert reports.told == [("read", 0, 0), ("convert", 0, 0), ("split", 0, 0)]
    assert reports.percentages(PARSING) == [10, 30, 90]


async def test_book_without_a_title_gets_one(parse: Parse, reports: Reports) -> None:
    assert (await parse(b"Text.", "txt", " ", "en", reports)).title == "Untitled"
    assert (await parse(b"Text.", "txt", "", "zh-CN", reports)).title == "未命名"


@pytest.mark.parametrize(
    ("format", "data", "code"),
    [
        ("txt", b"\0\1\2\3" * 50, "not_text"),
        ("txt", b"...", "empty_text"),
        ("md", b"```\ncode\n```\n", "empty_text"),
        ("html", b"<p></p>", "empty_text"),
        ("docx", b"PK\x03\x04", "bad_archive"),
    ],
)
async def test_what_cannot_be_read_fails_the_job(
    parse: Parse, reports: Reports, format: str, data: bytes, code: str
) -> None:
    with pytest.raises(JobError) as caught:
        await parse(data, format, "Book", "en", reports)
    assert caught.value.code == code


async def test_limits_are_kept(parse: Parse, reports: Reports) -> None:
    data = b"Chapter 1\nText.\nChapter 2\nText.\n"
    assert len((await parse(data, "txt", "Book", "en", reports, max_chapters=2, max_characters=10)).chapters) == 2
    with pytest.raises(JobError) as caught:
        await parse(data, "txt", "Book", "en", reports, max_chapters=1)
    assert caught.value.code == "too_many_chapters"
    with pytest.raises(JobError) as caught:
        await parse(data, "txt", "Book", "en", reports, max_characters=9)
    assert caught.value.code == "too_many_characters"


async def test_error_of_a_report_ends_the_work(parse: Parse) -> None:
    async def cancelled(stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        raise InterruptedError(stage)

    with pytest.raises(InterruptedError, match="read"):
        await parse(b"Text.", "txt", "Book", "en", cancelled)


async def test_markdown_that_keeps_its_parser_busy_is_given_up(parse: Parse, reports: Reports) -> None:
    with pytest.raises(JobError) as caught:
        await parse(b"word " + b"![" * 1_000_000, "md", "Book", "en", reports, timeout=2.0)
    assert caught.value.code == "conversion_timeout"


async def test_markdown_that_wants_memory_without_end_is_refused(parse: Parse, reports: Reports) -> None:
    with pytest.raises(JobError) as caught:
        await parse(b"a\n\n" * 4_000_000, "md", "Book", "en", reports)
    assert caught.value.code in {"conversion_too_large", "conversion_timeout"}


async def test_text_that_must_be_too_long_is_not_even_decoded(parse: Parse, reports: Reports) -> None:
    with pytest.raises(JobError) as caught:
        await parse(b"\0" * 5000, "txt", "Book", "en", reports, max_characters=1000)
    assert caught.value.code == "too_many_characters"


async def test_title_may_be_anything(parse: Parse, reports: Reports) -> None:
    title = "-c \0 \ud800 '\"$(x)` \n"
    assert (await parse(b"Text.", "txt", title, "en", reports)).title == title.strip()


@pytest.mark.parametrize("format", ["html", "md"])
async def test_heading_of_a_megabyte_is_a_short_title_and_the_rest_is_text(
    parse: Parse, reports: Reports, format: str
) -> None:
    long = "word " * 200_000
    headings = {"html": f"<h1>{long}</h1><p>A.</p><h1>Two</h1><p>B.</p>", "md": f"# {long}\n\nA.\n\n# Two\n\nB.\n"}
    manuscript = await parse(headings[format].encode(), format, "Book", "en", reports)
    assert all(len(chapter.title) <= MAX_TITLE for chapter in manuscript.chapters)
    assert sum(chapter.text.count("word") for chapter in manuscript.chapters) == 200_000 - 60
    assert manuscript.left_out == {}
    assert manuscript.characters_in == manuscript.characters_spoken == 200_000 * 4 + 2 + 3 + 2


async def test_thousands_of_headings_and_a_long_own_title_stay_within_bounds(parse: Parse, reports: Reports) -> None:
    long = "x" * 40_000
    data = f"# {long}\n\n" + "".join(f"## {long}{number}\n\nA.\n\n" for number in range(20))
    manuscript = await parse(data.encode(), "md", "Book", "en", reports)
    assert len(manuscript.title) == MAX_TITLE
    assert [len(chapter.title) for chapter in manuscript.chapters] == [MAX_TITLE] * 20
    assert manuscript.characters > 20 * 39_000


@pytest.mark.parametrize("format", ["txt", "md", "html", "epub"])
async def test_no_format_makes_a_chapter_longer_than_it_may_be(parse: Parse, reports: Reports, format: str) -> None:
    paragraphs = [f"Paragraph {number} of a book without any heading." for number in range(100)]
    marked = "".join(f"<p>{one}</p>" for one in paragraphs)
    data = {
        "epub": harmful_files.with_zipfile(harmful_files.epub("</p><p>".join(paragraphs))),
        "html": marked.encode(),
    }.get(format)
    data = data or "\n\n".join(paragraphs).encode()
    found = await parse(data, format, "Book", "en", reports, max_chapter_characters=1000)
    assert max(len(chapter.text) for chapter in found.chapters) <= 1000
    assert [line for one in found.chapters for line in one.text.split("\n") if line] == paragraphs
