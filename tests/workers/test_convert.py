"""Every other format becomes HTML that gives the chapters back, within bounds."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pypandoc
import pytest

from app.core.errors import JobError
from workers.manuscript import convert, pandoc
from workers.manuscript.markup import read
from workers.manuscript.structure import manuscript

Convert = Callable[..., Coroutine[Any, Any, str]]

BOOK = """# 第一章 少年

他说：“你好，*世界*。”[^1]

# Chapter Two

- one
- two

[^1]: A note.
"""


@pytest.fixture
def to_markup(tmp_path: Path) -> Convert:
    """`workers.manuscript.convert.to_markup` from bytes to text."""

    async def to_markup(data: bytes, format: str, **limits: Any) -> str:
        source, folder = tmp_path / "source", tmp_path / "work"
        source.write_bytes(data)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        await convert.to_markup(source, folder / "text", format, **limits)
        return (folder / "text").read_text()

    return to_markup


def written(tmp_path: Path, format: str, markdown: str = BOOK) -> bytes:
    """`markdown` as a file of `format`, made by pandoc."""
    path = tmp_path / f"book.{format}"
    command = [pypandoc.get_pandoc_path(), "-s", "-f", "markdown", "-t", format, "-o", str(path)]
    subprocess.run([*command, "--metadata=title:Book"], input=markdown.encode(), check=True)
    return path.read_bytes()


@pytest.mark.parametrize("format", ["docx", "odt", "html", "rtf", "fb2"])
async def test_chapters_come_back_from_every_format(to_markup: Convert, tmp_path: Path, format: str) -> None:
    found = manuscript(read(await to_markup(written(tmp_path, format), format)), "Book")
    by_title = {chapter.title: chapter.text for chapter in found.chapters}
    assert "他说：“你好，世界。”" in by_title["第一章 少年"]
    assert "one" in by_title["Chapter Two"]
    assert "two" in by_title["Chapter Two"]


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-8", "utf-16"])
async def test_html_is_read_in_the_encoding_it_declares_or_shows(to_markup: Convert, encoding: str) -> None:
    body = "<h1>第一章</h1><p>他走了很久，然後回到家中。</p>"
    for head in (f"<meta charset='{encoding}'>", ""):
        page = await to_markup(f"<html><head>{head}</head><body>{body}</body></html>".encode(encoding), "html")
        assert "他走了很久，然後回到家中。" in page


async def test_fb2_is_read_in_the_encoding_it_declares(to_markup: Convert, tmp_path: Path) -> None:
    book = written(tmp_path, "fb2").decode().partition("?>")[2]
    declared = f'<?xml version="1.0" encoding="gb2312"?>{book}'
    assert "你好" in await to_markup(declared.encode("gb18030"), "fb2")


async def test_no_file_of_the_machine_gets_into_the_text(to_markup: Convert, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<p>classified</p>")
    body = f"<section><p>Text</p><image l:href='{secret}'/></section>"
    book = written(tmp_path, "fb2").decode()
    book = book.replace("<body>", f"<body>{body}", 1)
    assert "classified" not in await to_markup(book.encode(), "fb2")
    page = f"<p>Text</p><iframe src='{secret}'></iframe><img src='{secret}'>"
    assert "classified" not in await to_markup(page.encode(), "html")


@pytest.mark.parametrize("format", ["docx", "epub", "odt"])
async def test_broken_file_fails(to_markup: Convert, format: str) -> None:
    with pytest.raises(JobError) as caught:
        await to_markup(b"PK\x03\x04 but no archive", format)
    assert caught.value.code == "bad_archive"
    assert caught.value.message


async def test_slow_conversion_is_stopped(to_markup: Convert) -> None:
    with pytest.raises(JobError) as caught:
        await to_markup(b"{\\rtf1 " + b"text\\par " * 200_000 + b"}", "rtf", timeout=0.2)
    assert caught.value.code == "conversion_timeout"


async def test_output_beyond_the_bound_is_refused(to_markup: Convert) -> None:
    with pytest.raises(JobError) as caught:
        await to_markup(b"{\\rtf1 " + b"text\\par " * 1000 + b"}", "rtf", largest_output=1000)
    assert caught.value.code == "conversion_too_large"


async def test_cancelling_ends_the_process(to_markup: Convert) -> None:
    others = children()
    task = asyncio.create_task(to_markup(b"{\\rtf1 " + b"text\\par " * 300_000 + b"}", "rtf"))
    while children() == others:  # noqa: ASYNC110 - no event tells of a process that has begun
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == others


def children() -> list[str]:
    """The processes that this one has started and not yet seen end."""
    return [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]


def test_pandoc_is_found_where_its_package_has_it() -> None:
    assert Path(pandoc.path()).samefile(pypandoc.get_pandoc_path())
