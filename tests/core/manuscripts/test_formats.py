"""A file's name and first bytes tell its format, or that SmartVoice cannot read it."""

from __future__ import annotations

import pytest

from app.core.errors import UnsupportedMedia
from app.core.manuscripts.formats import FORMATS, format_of

ZIP = b"PK\x03\x04\x14\0"


@pytest.mark.parametrize(
    ("filename", "head", "format"),
    [
        (None, b"anything", "txt"),
        ("", b"anything", "txt"),
        ("book", b"anything", "txt"),
        ("book.", b"anything", "txt"),
        (".txt", b"anything", "txt"),
        ("novel.txt", "第一章".encode("gb18030"), "txt"),
        ("NOVEL.TXT", b"", "txt"),
        ("a.b.markdown", b"# A", "md"),
        ("book.epub", ZIP, "epub"),
        ("book.docx", ZIP, "docx"),
        ("book.odt", ZIP, "odt"),
        ("book.htm", b"\n  <!doctype html>", "html"),
        ("book.html", "\ufeff<html>".encode("utf-16-le"), "html"),
        ("book.fb2", b"\xef\xbb\xbf<?xml version='1.0'?>", "fb2"),
        ("book.rtf", b"{\\rtf1\\ansi", "rtf"),
    ],
)
def test_name_and_first_bytes_give_the_format(filename: str | None, head: bytes, format: str) -> None:
    assert format_of(filename, head) == format


@pytest.mark.parametrize("filename", ["book.pdf", "book.txt.exe"])
def test_unknown_suffix_is_unsupported(filename: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        format_of(filename, b"text")
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize(
    ("filename", "head"),
    [
        ("book.epub", b"plain text"),
        ("book.docx", b"PK\x05\x06"),
        ("book.odt", b""),
        ("book.html", ZIP),
        ("book.fb2", b"plain text"),
        ("book.rtf", b"\\rtf1"),
    ],
)
def test_content_that_is_not_what_the_name_says_is_refused(filename: str, head: bytes) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        format_of(filename, head)
    assert caught.value.code == "wrong_magic"


def test_no_suffix_belongs_to_two_formats() -> None:
    suffixes = [suffix for row in FORMATS.values() for suffix in row.suffixes]
    assert len(suffixes) == len(set(suffixes))
