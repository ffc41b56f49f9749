"""Pandoc turns every other format into Markdown that gives the chapters back, within its bounds."""

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
from workers.manuscript import convert
from workers.manuscript.markdown import split

Convert = Callable[..., Coroutine[Any, Any, str]]

BOOK = """# 第一章 少年

他说：“你好，*世界*。”[^1]

# Chapter Two

- one
- two

[^1]: A note.
"""


@pytest.fixture
def to_markdown(tmp_path: Path) -> Convert:
    """`workers.manuscript.convert.to_markdown` from bytes to text."""

    async def to_markdown(data: bytes, format: str, **limits: Any) -> str:
        source, folder = tmp_path / "source", tmp_path / "work"
        source.write_bytes(data)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        await convert.to_markdown(source, folder / "text", format, **limits)
        return (folder / "text").read_text()

    return to_markdown


def written(tmp_path: Path, format: str, markdown: str = BOOK) -> bytes:
    """`markdown` as a file of `format`, made by pandoc."""
    path = tmp_path / f"book.{format}"
    command = [pypandoc.get_pandoc_path(), "-s", "-f", "markdown", "-t", format, "-o", str(path)]
    subprocess.run([*command, "--metadata=title:Book"], input=markdown.encode(), check=True)
    return path.read_bytes()


@pytest.mark.parametrize("format", ["docx", "epub", "odt", "html", "rtf", "fb2"])
async def test_chapters_come_back_from_every_format(to_markdown: Convert, tmp_path: Path, format: str) -> None:
    manuscript = split(await to_markdown(written(tmp_path, format), format), "Book")
    by_title = {chapter.title: chapter.text for chapter in manuscript.chapters}
    assert "他说：“你好，世界。”" in by_title["第一章 少年"]
    assert "one" in by_title["Chapter Two"]
    assert "two" in by_title["Chapter Two"]


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-8", "utf-16"])
async def test_html_is_read_in_the_encoding_it_declares_or_shows(to_markdown: Convert, encoding: str) -> None:
    body = "<h1>第一章</h1><p>他走了很久，然後回到家中。</p>"
    for head in (f"<meta charset='{encoding}'>", ""):
        markdown = await to_markdown(f"<html><head>{head}</head><body>{body}</body></html>".encode(encoding), "html")
        assert "他走了很久，然後回到家中。" in markdown


async def test_fb2_is_read_in_the_encoding_it_declares(to_markdown: Convert, tmp_path: Path) -> None:
    book = written(tmp_path, "fb2").decode().partition("?>")[2]
    declared = f'<?xml version="1.0" encoding="gb2312"?>{book}'
    assert "你好" in await to_markdown(declared.encode("gb18030"), "fb2")


async def test_no_file_of_the_machine_gets_into_the_text(to_markdown: Convert, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<p>secret</p>")
    page = f"<p>Text</p><iframe src='{secret}'></iframe><img src='{secret}'>"
    assert "secret</p>" not in await to_markdown(page.encode(), "html")
    assert await to_markdown(b"<p>Text</p>", "html") == "Text\n"


@pytest.mark.parametrize("format", ["docx", "epub", "odt"])
async def test_broken_file_fails(to_markdown: Convert, format: str) -> None:
    with pytest.raises(JobError) as caught:
        await to_markdown(b"PK\x03\x04 but no archive", format)
    assert caught.value.code == "bad_archive"
    assert caught.value.message


async def test_slow_conversion_is_stopped(to_markdown: Convert) -> None:
    with pytest.raises(JobError) as caught:
        await to_markdown(b"<p>text</p>" * 200_000, "html", timeout=0.2)
    assert caught.value.code == "conversion_timeout"


async def test_output_beyond_the_bound_is_refused(to_markdown: Convert) -> None:
    with pytest.raises(JobError) as caught:
        await to_markdown(b"<p>text</p>" * 1000, "html", largest_output=1000)
    assert caught.value.code == "conversion_too_large"


async def test_cancelling_ends_the_process(to_markdown: Convert) -> None:
    others = children()
    task = asyncio.create_task(to_markdown(b"<p>text</p>" * 300_000, "html"))
    while children() == others:  # noqa: ASYNC110 - no event tells of a process that has begun
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == others


def children() -> list[str]:
    """The processes that this one has started and not yet seen end."""
    return [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]
