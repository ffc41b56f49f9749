"""Cuts a text into segments: what is spoken, stored and counted as one.

Together the segments are the text, character for character.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import pairwise

import sentencex

COMFORTABLE = 300  # characters; sentences are joined up to this
_ONE_IN = 3  # sentences ends a segment by its own words
_NOT_SHORT = 15  # characters
# sentencex needs time that grows with the square of the sentences it is given at once.
_WINDOW = 2000

# Where a new line is a new paragraph, and where only a blank line is one.
_LINE_BREAK = re.compile(r"\n\s*")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")
_WRAPPED_AT = range(45, 101)  # characters of a line that was broken for its length

_CLAUSE_END = re.compile(r"[，、；：,;:—–…。！？!?]+[”’」』）)\"']*\s*")
_SPACE = re.compile(r"\s+")


def segments(text: str, language: str, limit: int) -> list[str]:
    """`text` in `language` (`zh-CN`, `en`), cut into segments of `limit` characters at most; joined, they are `text`.

    Cuts stand at paragraph ends, at sentence ends, and only within a sentence longer than `limit` at clause marks,
    at spaces, or anywhere. A segment without anything to say is joined to a neighbour wherever `limit` allows it.
    """
    pieces = (
        piece
        for paragraph in _paragraphs(text, language)
        for piece in _joined(_short_sentences(paragraph, language, limit), min(COMFORTABLE, limit))
    )
    return _speaking(pieces, limit)


def speakable(text: str) -> bool:
    """Whether there is a letter or a digit in `text`: anything to say."""
    return any(char.isalnum() for char in text)


def ends_paragraph(segment: str) -> bool:
    """Whether a paragraph ends with `segment`, one of `segments`."""
    return "\n" in segment[len(segment.rstrip()) :]


def _paragraphs(text: str, language: str) -> Iterator[str]:
    """The paragraphs of `text`, each with the break after it."""
    wrapped = not language.startswith("zh") and _is_wrapped(text)
    start = 0
    for match in (_BLANK_LINE if wrapped else _LINE_BREAK).finditer(text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def _is_wrapped(text: str) -> bool:
    """Whether lines were broken for their length: most that go on in the next line are as long as such lines are."""
    lines = [line.strip() for line in text.split("\n")]
    followed = [len(line) for line, after in pairwise(lines) if line and after]
    return sum(length in _WRAPPED_AT for length in followed) * 2 > len(followed)


def _short_sentences(paragraph: str, language: str, limit: int) -> Iterator[str]:
    for sentence in _sentences(paragraph, language.partition("-")[0]):
        yield from _split(sentence, limit)


def _sentences(paragraph: str, language: str) -> Iterator[str]:
    start = 0
    while start < len(paragraph):
        window = paragraph[start : start + _WINDOW]
        found = [sentence for sentence in sentencex.segment(language, window) if sentence]
        if "".join(found) != window:
            found = [window]
        # The window cuts its last sentence off: the next window begins with it.
        if start + _WINDOW < len(paragraph) and len(found) > 1:
            found.pop()
        yield from found
        start += sum(map(len, found))


def _split(sentence: str, limit: int) -> Iterator[str]:
    while len(sentence) > limit:
        end = _last_end(_CLAUSE_END, sentence, limit) or _last_end(_SPACE, sentence, limit) or limit
        yield sentence[:end]
        sentence = sentence[end:]
    if sentence:
        yield sentence


def _last_end(pattern: re.Pattern[str], sentence: str, limit: int) -> int:
    """Where the last match of `pattern` within the first `limit` characters ends; 0 where there is none."""
    return max((match.end() for match in pattern.finditer(sentence, 0, limit)), default=0)


def _joined(pieces: Iterator[str], comfortable: int) -> Iterator[str]:
    """Sentences joined to segments. Most end where their own words say so: an edit leaves those further on alone."""
    joined = ""
    for piece in pieces:
        if joined and len(joined) + len(piece) > comfortable:
            yield joined
            joined = ""
        joined += piece
        if _ends_segment(piece):
            yield joined
            joined = ""
    if joined:
        yield joined


def _ends_segment(sentence: str) -> bool:
    """Some sentences that are not short do, wherever they stand."""
    return len(sentence) >= _NOT_SHORT and zlib.crc32(sentence.encode("utf-8", "surrogatepass")) % _ONE_IN == 0


def _speaking(pieces: Iterator[str], limit: int) -> list[str]:
    """`pieces`, of which those without anything to say are joined to the one before, else to the one after."""
    merged: list[str] = []
    says = False  # whether the last of them does
    for piece in pieces:
        piece_says = speakable(piece)
        if merged and not (says and piece_says) and len(merged[-1]) + len(piece) <= limit:
            merged[-1] += piece
            says = says or piece_says
        else:
            merged.append(piece)
            says = piece_says
    return merged
