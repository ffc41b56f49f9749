"""Finds what is said by somebody in a story: the text between quotation marks, in Chinese and in English."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]
"""Start and exclusive end."""

_CLOSES = {"“": "”", "「": "」", "『": "』", "«": "»", '"': '"'}
_SAID = ("，", "。", "！", "？", "；", "…", "—", ",", ".", "!", "?", ";", "-", "–")
_BEFORE = re.compile(r"[：:，,]\s*$")
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
        for number, (start, end) in enumerate(paragraphs)
        for span in _in_paragraph(text, start, end, _opener(text, *next(iter(paragraphs[number + 1 :]), (0, 0))))
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
    at = start
    while at < end:
        if (closer := _CLOSES.get(text[at])) is None:
            at += 1
            continue
        last = _closed(text, at, end, closer)
        if last is None and next_opener == text[at]:
            last = end
        if last is None:
            at += 1
            continue
        if _is_said(text, at, last, start):
            yield at, last
        at = last


def _closed(text: str, opened: int, end: int, closer: str) -> int | None:
    """Where the quotation that opens at `opened` ends; None where it does not."""
    depth = 0
    for at in range(opened, end):
        if text[at] == closer and at > opened:
            depth -= 1
            if depth == 0 or closer == text[opened]:
                return at + 1
        elif text[at] == text[opened]:
            depth += 1
    return None


def _is_said(text: str, start: int, end: int, paragraph: int) -> bool:
    inner = text[start + 1 : end].rstrip("".join(_CLOSES.values())).rstrip()
    before = text[paragraph:start]
    return inner.endswith(_SAID) or not before.strip() or bool(_BEFORE.search(before))
