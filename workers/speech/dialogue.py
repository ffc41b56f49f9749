"""Finds what is said by somebody in a story: the text between quotation marks, in Chinese and in English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

Span = tuple[int, int]
"""Start and exclusive end."""

_CLOSES = {"“": "”", "「": "」", "『": "』", "«": "»", '"': '"'}
_SAID = ("，", "。", "！", "？", "；", "…", "—", ",", ".", "!", "?", ";", "-", "–")
_BEFORE = ("：", ":", "，", ",")
_PARAGRAPH = re.compile(r"[^\n]+")


def dialogue(text: str) -> list[Span]:
    """The spans of `text` that are said, quotation marks included, in order.

    The outermost quotation counts, whatever is quoted in it. A quotation that its paragraph does not close is one if
    the next paragraph opens anew, as is the way of speeches; otherwise its mark is a slip. Quoted words of the
    narrator's, which end without a mark and follow no colon or comma, are not said by anybody.
    """
    paragraphs = [match.span() for match in _PARAGRAPH.finditer(text)]
    return [
        span
        for (start, end), following in pairwise([*paragraphs, (0, 0)])
        for span in _in_paragraph(text, start, end, _opener(text, *following))
    ]


def cut(start: int, end: int, spans: list[Span]) -> Iterator[tuple[int, int, bool]]:
    """`start` to `end` in pieces that are wholly said, or wholly not."""
    at = start
    for first, last in spans:
        first, last = max(first, start), min(last, end)
        if first >= last:
            continue
        if at < first:
            yield at, first, False
        yield first, last, True
        at = last
    if at < end:
        yield at, end, False


def _opener(text: str, start: int, end: int) -> str:
    return text[start:end].lstrip()[:1]


def _in_paragraph(text: str, start: int, end: int, next_opener: str) -> Iterator[Span]:
    closed = _closed(text, start, end)
    at = start
    while at < end:
        if text[at] not in _CLOSES:
            at += 1
            continue
        last = closed.get(at)
        if last is None and next_opener == text[at]:
            last = end
        if last is None:
            at += 1
            continue
        if _is_said(text, at, last, start):
            yield at, last
        at = last


def _closed(text: str, start: int, end: int) -> dict[int, int]:
    """Where each quotation of a paragraph ends, by where it opens; those that do not end are not in it."""
    found: dict[int, int] = {}
    # Of each kind the marks that are open; of one whose marks are alike, the one before.
    open_marks: dict[str, list[int]] = {opener: [] for opener in _CLOSES}
    openers = {closer: opener for opener, closer in _CLOSES.items()}
    for at in range(start, end):
        char = text[at]
        if (opener := openers.get(char)) and open_marks[opener]:
            found[open_marks[opener].pop()] = at + 1
        if char in _CLOSES:
            open_marks[char].append(at)
    return found


def _is_said(text: str, start: int, end: int, paragraph: int) -> bool:
    inner = text[start + 1 : end].rstrip("".join(_CLOSES.values())).rstrip()
    before = start
    while before > paragraph and text[before - 1].isspace():
        before -= 1
    return inner.endswith(_SAID) or before == paragraph or text[before - 1] in _BEFORE
