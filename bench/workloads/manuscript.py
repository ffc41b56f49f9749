"""A manuscript of any length, the same on every machine: sentences put together from a few words of our own."""

from __future__ import annotations

import random

_WHO = ["The ferryman", "A girl with a lantern", "Old Marten", "The clockmaker", "Nobody in the village", "Her brother"]
_DID = ["watched the river", "counted the windows", "carried the letters home", "waited for the frost", "said nothing"]
_WHEN = [
    "before the bells rang",
    "while the rain came down",
    "until the last candle went out",
    "as he had every winter",
]
_SENTENCES_A_PARAGRAPH = 6


def chapters(characters: int, count: int) -> list[str]:
    """`count` chapters of about `characters` in all, no two alike."""
    return [_chapter(random.Random(number), characters // count) for number in range(count)]


def _chapter(chance: random.Random, characters: int) -> str:
    text, paragraph = "", list[str]()
    while len(text) < characters:
        which = f"{chance.choice(_WHO)} {chance.choice(_DID)}, {chance.choice(_WHEN)}, {chance.randint(2, 999)} times."
        paragraph.append(which)
        if len(paragraph) == _SENTENCES_A_PARAGRAPH:
            text += " ".join(paragraph) + "\n\n"
            paragraph.clear()
    return text
