"""Rich Text Format (1.9.1) as HTML, and what a document says of itself.

Bytes are read in the code page of the font that they are set in, else in the file's; what stands behind a character's
number for programs that do not know it is skipped. A group that begins with `\\*` is read only where it is known.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any, NamedTuple

from app.core.manuscripts.text import scrubbed
from app.core.projects.text_lengths import MAX_TITLE
from workers.manuscript.html_writer import HIDDEN, NOTE, Page

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?"  # a control word and its number
    rb"|\\'([0-9a-fA-F]{2})"  # a byte
    rb"|\\([^a-zA-Z'])"  # a control symbol
    rb"|([{}])"
    rb"|([^\\{}\r\n]+)",
    re.DOTALL,
)
_CHARSETS = {77: 10000, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255}
_CHARSETS |= {178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250, 254: 437}
"""Code pages by the character sets that fonts name; 0 (ANSI), 1 and 2 (symbols) leave it to the file."""
_PAGES = {10000: "mac_roman", 936: "gb18030", 65001: "utf-8", 1361: "johab"}
_WORDS = {
    "emdash": "—",
    "endash": "–",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "bullet": "•",
    "tab": "\t",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
}
_SYMBOLS = {b"~": "\u00a0", b"_": "\u2011"}
_GROUPS = (
    "fonttbl colortbl stylesheet info pict header headerl headerr headerf footer footerl footerr footerf annotation "
    "atnid atnauthor fldinst listtext pntext xe tc tcn rxe ftnsep ftnsepc ftncn aftnsep aftnsepc aftncn sn sv "
    "nonesttables objdata bkmkstart bkmkend filetbl revtbl listtable listoverridetable object upr generator shprslt "
    "nonshppict pnseclvl do"
)
_UNREAD = frozenset(_GROUPS.split())
_READ = {"footnote", "shpinst", "shptxt", "ud", "fldrslt", "result"}
"""Groups that are read although they may begin with `\\*`, or stand in one that is not."""
_HEADING = re.compile(r"(?i)heading ([1-9])\b")
_BODY = 9  # the outline level of what is no heading
_SYMBOL_FONTS = range(0xF000, 0xF100)


class RtfMetadata(NamedTuple):
    """What a document says of itself; empty where it does not."""

    title: str
    author: str


@dataclass(frozen=True)
class _State:
    """What holds within a group. `target`: what its text is for; empty where it is the document's own."""

    target: str = ""
    font: int = -1
    stand_ins: int = 1
    hidden: bool = False
    deleted: bool = False
    level: int = 0
    in_table: bool = False


def read(content: bytes) -> str:
    """The document as HTML."""
    reader = _Reader()
    reader.feed(content)
    return reader.page.html()


def said(content: bytes) -> RtfMetadata:
    """Title and author."""
    reader = _Reader()
    reader.feed(content[:_HEAD_BYTES])
    return RtfMetadata(
        *(" ".join(scrubbed(reader.told.get(name, "")).split())[:MAX_TITLE] for name in ("title", "author"))
    )


_HEAD_BYTES = 1024 * 1024


class _Inline:
    """What a paragraph has so far, and notes in it."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._around: list[list[str]] = []

    @property
    def in_note(self) -> bool:
        return bool(self._around)

    def add(self, text: str, *, hidden: bool) -> None:
        written = escape(text, quote=False).replace("\n", "<br>")
        self._parts.append(f"<{HIDDEN}>{written}</span>" if hidden and not self._around else written)

    def begin_note(self) -> None:
        self._around.append(self._parts)
        self._parts = []

    def end_note(self) -> None:
        note, self._parts = "".join(self._parts), self._around.pop()
        self._parts.append(f"<{NOTE}>{note}</span>")

    def taken(self) -> str:
        """All of it, as HTML."""
        while self._around:
            self.end_note()
        parts, self._parts = self._parts, []
        return "".join(parts)


class _Reader:
    """`told`: what was said in `info`."""

    def __init__(self) -> None:
        self.page = Page()
        self.told: dict[str, str] = {}
        self._state = _State()
        self._outer: list[_State] = []
        self._file_page = "cp1252"
        self._pages: dict[int, str] = {}
        self._levels: dict[int, int] = {}
        self._style = 0
        self._default_font = -1
        self._bytes = bytearray()
        self._skip = 0
        self._high = 0  # the first half of a character beyond the first 65536
        self._begins = self._ignorable = False
        self._inline = _Inline()
        self._note_depth = 0
        self._cell = ""
        self._row: list[str] = []
        self._begun = False
        self._words: dict[str, Callable[[int | None], None]] = {
            **dict.fromkeys(("par", "sect", "page", "column"), lambda _: self._end_paragraph()),
            "line": lambda _: self._add("\n"),
            "nestcell": lambda _: self._add("\n"),
            "cell": lambda _: self._end_cell(),
            "row": lambda _: self._end_row(),
            "pard": lambda _: self._change(level=0, in_table=False),
            "plain": lambda _: self._change(font=self._default_font, hidden=False),
            "intbl": lambda _: self._change(in_table=True),
            "v": lambda number: self._change(hidden=number != 0),
            "deleted": lambda number: self._change(deleted=number != 0),
            "uc": lambda number: self._change(stand_ins=max(0, number or 0)),
            "outlinelevel": self._set_level,
            "s": self._set_style,
            "f": lambda number: self._change(font=number or 0),
            "deff": self._set_default_font,
            "fcharset": lambda number: self._set_font_page(_CHARSETS.get(number or 0, 0)),
            "cpg": lambda number: self._set_font_page(number or 0),
            "ansicpg": lambda number: self._set_file_page(number or 0),
            "mac": lambda _: self._set_file_page(10000),
            "pc": lambda _: self._set_file_page(437),
            "pca": lambda _: self._set_file_page(850),
            "u": self._character,
        }

    def feed(self, content: bytes) -> None:
        """Reads all of it."""
        for word, number, code, symbol, brace, text in _tokens(content):
            if text:
                self._raw(text)
            elif code:
                self._raw(bytes([int(code, 16)]))
            elif word:
                self._word(word.decode(), int(number) if number else None)
            elif brace:
                self._brace(brace)
            else:
                self._symbol(symbol)
        self._flush()
        self._end_row()
        self._end_paragraph()

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._skip, self._ignorable, self._begins = 0, False, brace == b"{"
        if brace == b"{":
            self._outer.append(self._state)
        elif self._outer:
            self._state = self._outer.pop()
            if self._inline.in_note and len(self._outer) < self._note_depth:
                self._inline.end_note()

    def _symbol(self, symbol: bytes) -> None:
        if symbol == b"*":
            self._ignorable = True
        elif symbol in b"\\{}":
            self._raw(symbol)  # it may be the second byte of a character
        elif symbol in b"\r\n":
            self._end_paragraph()
        elif symbol in _SYMBOLS:
            self._put(_SYMBOLS[symbol])

    def _word(self, word: str, number: int | None) -> None:
        begins, ignorable, self._begins, self._ignorable = self._begins, self._ignorable, False, False
        if self._skip:
            self._skip -= 1  # it stands in as one character does
            return
        self._flush()
        if word in _WORDS:
            self._add(_WORDS[word])
        elif (begins or ignorable) and word in _READ:
            self._begin_read(word)
        elif (begins or ignorable) and self._is_unread(word, ignorable=ignorable):
            self._change(target=word)
        elif word in self._words:
            self._words[word](number)

    def _begin_read(self, word: str) -> None:
        if self._state.target in {"object", "upr"}:
            self._change(target="")
        if word == "footnote" and not self._state.target and not self._inline.in_note:
            self._inline.begin_note()
            self._note_depth = len(self._outer)

    def _is_unread(self, word: str, *, ignorable: bool) -> bool:
        """Whether the group that `word` begins is not the document's text."""
        if self._state.target == "info":
            return word in {"title", "author"}
        return word in _UNREAD or (ignorable and word not in self._words)

    def _raw(self, content: bytes) -> None:
        self._begins = self._ignorable = False
        skipped = min(self._skip, len(content))
        self._skip -= skipped
        self._bytes += content[skipped:]

    def _character(self, number: int | None) -> None:
        code = (number or 0) % 0x10000
        high, self._high = self._high, 0
        if 0xD800 <= code < 0xDC00:
            self._high = code
        elif 0xDC00 <= code < 0xE000:
            self._add(chr(0x10000 + (high - 0xD800) * 0x400 + code - 0xDC00) if high else "\ufffd")
        elif code >= 0x20 and code not in _SYMBOL_FONTS:
            self._add(chr(code))
        self._skip = self._state.stand_ins

    def _put(self, text: str) -> None:
        if self._skip:
            self._skip -= 1
            return
        self._flush()
        self._add(text)

    def _flush(self) -> None:
        """Bytes become text once it is known where they end: a character may have two of them."""
        if self._bytes:
            text = self._bytes.decode(self._pages.get(self._state.font, self._file_page), "replace")
            self._bytes.clear()
            self._add(text)

    def _add(self, text: str) -> None:
        state = self._state
        if state.target in {"title", "author"}:
            self.told[state.target] = self.told.get(state.target, "")[:MAX_TITLE] + text
        elif state.target == "stylesheet":
            if named := _HEADING.match(text.strip()):
                self._levels.setdefault(self._style, int(named[1]))
        elif not state.target and not state.deleted:
            self._inline.add(text, hidden=state.hidden)

    def _change(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)

    def _set_level(self, number: int | None) -> None:
        level = 0 if number is None or not 0 <= number < _BODY else number + 1
        if self._state.target == "stylesheet":
            self._levels[self._style] = level
        else:
            self._change(level=level)

    def _set_style(self, number: int | None) -> None:
        if self._state.target == "stylesheet":
            self._style = number or 0
        elif not self._state.target:
            self._change(level=self._levels.get(number or 0, 0))

    def _set_default_font(self, number: int | None) -> None:
        self._default_font = number or 0
        self._change(font=self._default_font)

    def _set_font_page(self, number: int) -> None:
        if self._state.target == "fonttbl" and (page := _codec(number)):
            self._pages[self._state.font] = page

    def _set_file_page(self, number: int) -> None:
        self._file_page = _codec(number) or self._file_page

    def _end_paragraph(self) -> None:
        if self._state.target:
            return
        if self._inline.in_note:
            self._inline.add(" ", hidden=False)
            return
        content = self._inline.taken()
        if self._state.in_table and (content or self._cell):
            self._cell += f"<p>{content}</p>"
            return
        self._end_row()
        self._write(content, self._state.level)

    def _write(self, content: str, level: int) -> None:
        if not self._begun:
            self._begun = True
            for name in ("title", "author"):
                if self.told.get(name, "").strip():
                    with self.page.paragraph(style=name):
                        self.page.text(self.told[name])
        if content:
            with self.page.paragraph(level):
                self.page.html_of(content)

    def _end_cell(self) -> None:
        if not self._state.target:
            self._row.append(self._cell + self._inline.taken())
            self._cell = ""

    def _end_row(self) -> None:
        if self._cell:
            self._end_cell()
        row, self._row = self._row, []
        if row:
            self._write("", 0)
            self.page.html_of(f"<table><tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr></table>")


def _tokens(content: bytes) -> Iterator[tuple[bytes, ...]]:
    """Word, number, hexadecimal byte, symbol, brace and text, one or two of them at a time, without binary data."""
    at = 0
    while match := _TOKEN.search(content, at):
        at = match.end()
        if match[1] == b"bin":
            at += max(0, int(match[2] or 0))
        else:
            yield match.groups(b"")


def _codec(number: int) -> str:
    """What Python calls a code page; empty where it does not know it."""
    try:
        return codecs.lookup(_PAGES.get(number, f"cp{number}")).name
    except LookupError:
        return ""
