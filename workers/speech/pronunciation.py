"""The pronunciation dictionary of a project: what is written one way and said another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.core.projects.models import Pronunciation

# Chinese words have no borders that show; a term that begins or ends with a letter of ours does not go on with one.
_LETTER = re.compile(r"[0-9A-Za-z\u00c0-\u024f]")


@dataclass
class _Node:
    """A place in the tree of all terms, character by character; `terms` are those that end there, in their order."""

    next: dict[str, _Node] = field(default_factory=dict)
    terms: list[Pronunciation] = field(default_factory=list)


class Respelling:
    """Replaces the terms of a dictionary by their respellings, whole words only.

    Where terms overlap the longest wins, where two are the same the first; what was replaced is not looked at again.
    Takes time by the length of the text and of the longest term, however many terms there are.
    """

    def __init__(self, pronunciations: Sequence[Pronunciation]) -> None:
        self._root = _tree(pronunciations)

    def __call__(self, text: str) -> str:
        return _respelled(text, self._root) if self._root.next else text


def respelled(text: str, pronunciations: Sequence[Pronunciation]) -> str:
    """`text` with each term replaced by its respelling (see `Respelling`)."""
    return Respelling(pronunciations)(text)


def _respelled(text: str, root: _Node) -> str:
    folded = "".join(map(_fold, text))
    parts: list[str] = []
    at = kept = 0
    while at < len(text):
        found = _longest(root, text, folded, at) if folded[at] in root.next else None
        if found is None:
            at += 1
            continue
        parts += (text[kept:at], found.respelling)
        at = kept = at + len(found.term)
    return "".join([*parts, text[kept:]])


def _longest(root: _Node, text: str, folded: str, start: int) -> Pronunciation | None:
    """The longest term that stands at `start`, as a word of its own."""
    found, node = None, root
    for at in range(start, len(text)):
        following = node.next.get(folded[at])
        if following is None:
            break
        node = following
        found = next((term for term in node.terms if _stands(term, text, start, at + 1)), found)
    return found


def _stands(one: Pronunciation, text: str, start: int, end: int) -> bool:
    if one.match_case and text[start:end] != one.term:
        return False
    goes_before = start > 0 and _LETTER.match(one.term[0]) and _LETTER.match(text[start - 1])
    goes_on = end < len(text) and _LETTER.match(one.term[-1]) and _LETTER.match(text[end])
    return not (goes_before or goes_on)


def _tree(pronunciations: Sequence[Pronunciation]) -> _Node:
    root = _Node()
    for one in pronunciations:
        node = root
        for char in map(_fold, one.term):
            node = node.next.setdefault(char, _Node())
        node.terms.append(one)
    return root


def _fold(char: str) -> str:
    """`char` whatever its case, as one character."""
    folded = char.casefold()
    return folded if len(folded) == 1 else char
