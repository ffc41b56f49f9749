"""RTF made ready for pandoc, whose reader would drop some of its text, and what it says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.core.lengths import MAX_TITLE
from app.core.text import scrubbed
from workers.check import Check, unchecked

_INFO = re.compile(rb"\{\\info\b.{0,4000}", re.DOTALL)
_FIELD = rb"\{\\%s\s+([^{}]{1,2000})\}"
_CODE = re.compile(r"\\u(-?\d{1,6})\s?(?:\\'[0-9a-fA-F]{2}|[^\\{}])?|\\'([0-9a-fA-F]{2})|\\[a-z]+-?\d*\s?")
_WIDTHS = re.compile(rb"\\uc(\d+)")
# The character that stands behind a number for programs which do not know it: pandoc drops the next one with it.
_STAND_IN = re.compile(rb"(\\u-?\d{1,6}) ?[^\\{}\r\n]")
_PIECE = 512 * 1024  # bytes
_AHEAD = 64 * 1024
_MARKED_NOTE = re.compile(rb"\{\\\*\s*\\footnote\b")


def mended(content: bytes, check: Check = unchecked) -> bytes:
    """The same text, written in a way in which pandoc reads all of it; `check` ends it between two pieces."""
    one_stands_in = set(_WIDTHS.findall(content)) <= {b"1"}
    pieces = []
    for piece in _pieces(content):
        check()
        if one_stands_in:
            piece = _STAND_IN.sub(rb"\1\\'3f", piece)
        pieces.append(_MARKED_NOTE.sub(rb"{\\footnote", piece))
    return b"".join(pieces)


def _pieces(content: bytes) -> Iterator[bytes]:
    """`content` in pieces, as a pattern holds up all of the process; cut where none of ours can match across."""
    start = 0
    while start < len(content):
        end = start + _PIECE
        found = (content.find(mark, end, end + _AHEAD) for mark in (b"{", b"\\"))
        end = next((at for at in found if at >= 0), end + _AHEAD)
        yield content[start:end]
        start = end


def said(content: bytes) -> tuple[str, str]:
    """Title and author; empty where it does not say."""
    info = _INFO.search(content)
    fields = [re.search(_FIELD % name, info[0]) if info else None for name in (b"title", b"author")]
    title, author = (_text(field[1].decode("cp1252", "replace")) if field else "" for field in fields)
    return title, author


def _text(source: str) -> str:
    text = _CODE.sub(_character, source)
    return " ".join(scrubbed(text).split())[:MAX_TITLE]


def _character(match: re.Match[str]) -> str:
    if match[1]:
        code = int(match[1]) % 0x10000
        return "" if 0xD800 <= code < 0xE000 else chr(code)
    return bytes([int(match[2], 16)]).decode("cp1252", "replace") if match[2] else ""
