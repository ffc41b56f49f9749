"""Plain text out of bytes, whatever encoding it came in, and which language it is in."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from app.core.errors import Unprocessable
from app.core.projects.text_lengths import MAX_GUESSED_TITLE

if TYPE_CHECKING:
    # Kept out at run time: this module is all of the core that the process which reads a manuscript needs.
    from app.core.vocabulary import Language

# Longest first: the UTF-32 mark begins with the UTF-16 one.
_MARKS = [
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_CHUNK = 64 * 1024
_PIECE = 16 * 1024  # characters
# What a text without a mark may be in; of equals the first wins. UTF-8 is among them for files with a few broken bytes.
_GUESSES = ["utf-8", "gb18030", "big5", "utf-16-le", "utf-16-be", "cp1252"]
_SAMPLE = 64 * 1024
_MIN_LIKELIHOOD = 0.75

# Control characters that no text has; tab, line feed, carriage return and form feed may stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Marks that only steer the direction of writing: they can hide or reorder what a reader sees.
_DIRECTION = re.compile(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LETTER = re.compile(r"[^\W\d_]")
_WESTERN = re.compile(r"[\u00a0-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u20ac\u2122]")
_ASCII_LETTER = re.compile(r"[A-Za-z]")
_OFTEN = re.compile(r"[\u2010-\u2027\u3000-\u3011\uff01-\uff5e]")  # dashes, quotes, Chinese and full-width marks
# Ornaments speak neither for nor against an encoding; nor does ASCII, which most encodings share.
_NEUTRAL = re.compile(r"[\t\n\r\f\x20-\x7e\u2190-\u27bf\u00b7]")
_BROKEN = "\ufffd"


def decode(data: bytes) -> str:
    """The text of `data`: by its byte order mark, as UTF-8, or in the legacy encoding that fits it best.

    Line ends become `\\n`; direction marks, stray control characters and, where less than one in a thousand
    characters is concerned, broken bytes are taken out. Raises Unprocessable (`not_text`, `empty_text`).
    """
    return clean(_decode(data))


def beginning(head: bytes, *, whole: bool) -> str:
    """The text of a file's first bytes, for a look at it before all of it is read; `whole` where there are no more.

    A character that the end of `head` cuts in two is left out. Raises Unprocessable as `decode` does, but `empty_text`
    only where it is the whole.
    """
    return clean(_decode(head)) if whole else scrubbed(_decode(head, whole=False))


def encoding_of(head: bytes) -> str:
    """The encoding in which the first bytes of a file make sense: by its mark, UTF-8, or what fits best."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    try:
        _strictly(head, "utf-8", whole=False)
    except UnicodeDecodeError:
        return _guess(head)
    return "utf-8"


def clean(text: str) -> str:
    """`text` as SmartVoice keeps it. Raises Unprocessable (`empty_text`) where nothing is left to be read."""
    return readable(scrubbed(text))


def readable(text: str) -> str:
    """`text`, scrubbed already. Raises Unprocessable (`empty_text`) where there is nothing in it to be read."""
    if not any(char.isalnum() for char in text):
        raise Unprocessable("There is no text in it that could be read aloud.", code="empty_text")
    return text


def scrubbed(text: str) -> str:
    """`text` with `\\n` as its only line end, and without control characters and direction marks."""
    return "".join(scrubbed_pieces(text))


def scrubbed_pieces(text: str) -> Iterator[str]:
    """`scrubbed`, a millisecond's work at a time: a regular expression lets no other thread run, and there are texts
    that are nothing but marks."""
    at = 0
    while at < len(text):
        end = at + _PIECE
        if text[end - 1 : end] == "\r":
            end += 1  # not between the two characters of one line end
        piece = text[at:end].replace("\r\n", "\n").replace("\r", "\n").replace("\x85", "\n").replace("\f", "\n")
        yield _DIRECTION.sub("", _CONTROL.sub("", piece))
        at = end


def title_of(line: str) -> str:
    """What may serve as a title: `line` without Markdown's marks, control characters and direction marks, at most
    `MAX_GUESSED_TITLE` characters."""
    return _DIRECTION.sub("", _CONTROL.sub("", line)).strip().lstrip("#").strip()[:MAX_GUESSED_TITLE]


def language_of(text: str, default: Language) -> Language:
    """`zh-CN` where a fair share of the letters are Chinese, else `en`; `default` where there are no letters."""
    letters = _count(_LETTER, text)
    if not letters:
        return default
    # A Chinese character says about as much as three Latin letters.
    return "zh-CN" if _count(_HAN, text) * 3 >= letters else "en"


def _decode(data: bytes, *, whole: bool = True) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode_marked(data, encoding, whole)
    try:
        text = _strictly(data, "utf-8", whole)
    except UnicodeDecodeError:
        return _decode_guessed(data)
    # UTF-16 without a mark is valid UTF-8 as long as it is English: every other byte is NUL.
    return _decode_guessed(data) if _full_of_controls(text) else text


def _strictly(data: bytes, encoding: str, whole: bool) -> str:
    return data.decode(encoding) if whole else codecs.getincrementaldecoder(encoding)().decode(data)


def _decode_marked(data: bytes, encoding: str, whole: bool) -> str:
    try:
        text = _strictly(data, encoding, whole)
    except UnicodeDecodeError as error:
        raise Unprocessable(f"The file says it is {encoding}, but it is not.", code="not_text") from error
    if _full_of_controls(text):
        raise Unprocessable("This is not a text file: it is full of control characters.", code="not_text")
    return text


def _decode_guessed(data: bytes) -> str:
    sample = data[:_SAMPLE]
    best = _guess(sample)
    text = data.decode(best, errors="replace")
    broken = text.count(_BROKEN)
    if (
        _likelihood(sample, best) < _MIN_LIKELIHOOD
        or _full_of_controls(text)
        or broken > max(1, len(text) // 1000)
        or not text
    ):
        raise Unprocessable("This is not a text file, or its encoding is unknown.", code="not_text")
    return text.replace(_BROKEN, "")


def _guess(sample: bytes) -> str:
    return max(_GUESSES, key=lambda encoding: _likelihood(sample, encoding))


def _full_of_controls(text: str) -> bool:
    return _count(_CONTROL, text) > len(text) // 100


def _count(pattern: re.Pattern[str], text: str) -> int:
    """How many characters of `text` are of a class; piece by piece, because a list of all would be far larger."""
    runs = _runs(pattern)
    return sum(sum(map(len, runs.findall(text, start, start + _CHUNK))) for start in range(0, len(text), _CHUNK))


@cache
def _runs(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Of one class of characters: to find runs of them takes a fraction of the time."""
    return re.compile(f"(?:{pattern.pattern})+")


def _likelihood(sample: bytes, encoding: str) -> float:
    """How likely `sample` is in `encoding`, from 0 to 1: which share of its characters are ones that people write."""
    text = sample.decode(encoding, errors="replace")
    telling = _NEUTRAL.sub("", text)
    western = len(_WESTERN.findall(telling))
    if western * 2 > len(_ASCII_LETTER.findall(text)):
        western = 0  # accents stand among plain letters; a text of accents alone is something else misread
    common = _common_han()
    usual = western + len(_OFTEN.findall(telling)) + sum(char in common for char in telling)
    return (usual + 1) / (len(telling) + 1)


@cache
def _common_han() -> frozenset[str]:
    """The characters of everyday Chinese: the first level of GB 2312 (simplified) and of Big5 (traditional)."""
    simplified = [bytes((row, cell)) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF)]
    traditional = [bytes((row, cell)) for row in range(0xA4, 0xC7) for cell in [*range(0x40, 0x7F), *range(0xA1, 0xFF)]]
    chars = b"".join(simplified).decode("gb2312", "ignore") + b"".join(traditional).decode("big5", "ignore")
    return frozenset(char for char in chars if _HAN.match(char))
