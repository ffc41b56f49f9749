"""Every other format gives its chapters back, within bounds."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pypandoc
import pytest

from app.core.errors import JobError
from workers.core.report import Pace
from workers.pipeline.parsing import Parsed, parse

Read = Callable[..., Coroutine[Any, Any, Parsed]]

BOOK = """# 第一章 少年

他说：“你好，*世界*。”[^1]

# Chapter Two

- one
- two

[^1]: A note.
"""


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """`workers.pipeline.parsing.parse` of bytes."""

    async def read(data: bytes, format: str, **limits: Any) -> Parsed:
        source = tmp_path / "source"
        source.write_bytes(data)
        return await parse(source, format, "Book", "en", _silent, **limits)

    return read


async def _silent(stage: str, done: int, total: int, pace: Pace | None = None) -> None:
    """Nobody listens."""


def text_of(found: Parsed) -> str:
    return "\n".join(chapter.text for chapter in found.chapters)


def written(tmp_path: Path, format: str, markdown: str = BOOK) -> bytes:
    """`markdown` as a file of `format`, made by pandoc."""
    path = tmp_path / f"book.{format}"
    command = [pypandoc.get_pandoc_path(), "-s", "-f", "markdown", "-t", format, "-o", str(path)]
    subprocess.run([*command, "--metadata=title:Book"], input=markdown.encode(), check=True)
    return path.read_bytes()


@pytest.mark.parametrize("format", ["docx", "odt", "html", "rtf", "fb2"])
async def test_chapters_come_back_from_every_format(read: Read, tmp_path: Path, format: str) -> None:
    found = await read(written(tmp_path, format), format)
    by_title = {chapter.title: chapter.text for chapter in found.chapters}
    assert "他说：“你好，世界。”" in by_title["第一章 少年"]
    # Pandoc writes bullets as text where it knows no better.
    assert "one\n\ntwo" in by_title["Chapter Two"].replace("• ", "")
    assert "A note." not in text_of(found)
    assert found.left_out["notes"] >= len("A" + "note.")


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-8", "utf-16"])
async def test_html_is_read_in_the_encoding_it_declares_or_shows(read: Read, encoding: str) -> None:
    body = "<h1>第一章</h1><p>他走了很久，然後回到家中。</p>"
    for head in (f"<meta charset='{encoding}'>", ""):
        page = await read(f"<html><head>{head}</head><body>{body}</body></html>".encode(encoding), "html")
        assert "他走了很久，然後回到家中。" in text_of(page)


async def test_fb2_is_read_in_the_encoding_it_declares(read: Read, tmp_path: Path) -> None:
    book = written(tmp_path, "fb2").decode().partition("?>")[2]
    declared = f'<?xml version="1.0" encoding="gb2312"?>{book}'
    assert "你好" in text_of(await read(declared.encode("gb18030"), "fb2"))


async def test_no_file_of_the_machine_gets_into_the_text(read: Read, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<p>classified</p>")
    body = f"<section><p>Text</p><image l:href='{secret}'/></section>"
    book = written(tmp_path, "fb2").decode()
    book = book.replace("<body>", f"<body>{body}", 1)
    assert "classified" not in text_of(await read(book.encode(), "fb2"))
    page = f"<p>Text</p><iframe src='{secret}'></iframe><img src='{secret}'>"
    assert "classified" not in text_of(await read(page.encode(), "html"))


@pytest.mark.parametrize("format", ["docx", "epub", "odt"])
async def test_broken_file_fails(read: Read, format: str) -> None:
    with pytest.raises(JobError) as caught:
        await read(b"PK\x03\x04 but no archive", format)
    assert caught.value.code == "bad_archive"
    assert caught.value.message


async def test_what_is_no_fictionbook_fails(read: Read) -> None:
    with pytest.raises(JobError) as caught:
        await read(b"<FictionBook><body><p>Text</body>", "fb2")
    assert caught.value.code == "conversion_failed"


LONG_RTF = b"{\\rtf1 " + b"text\\par " * 200_000 + b"}"


async def test_slow_conversion_is_stopped(read: Read) -> None:
    with pytest.raises(JobError) as caught:
        await read(LONG_RTF, "rtf", timeout=0.2)
    assert caught.value.code == "conversion_timeout"


async def test_cancelling_ends_the_process(read: Read) -> None:
    others = children()
    task = asyncio.create_task(read(LONG_RTF, "rtf"))
    while children() == others:  # noqa: ASYNC110 - no event tells of a process that has begun
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == others


def children() -> list[str]:
    """The processes that this one has started and not yet seen end."""
    return [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]
