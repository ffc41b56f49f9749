"""What a manuscript is once it has been read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Confidence = Literal["high", "low"]
"""How sure it is that a chapter begins where it does: `low` where its heading is only a guess."""


@dataclass(frozen=True)
class Chapter:
    """A chapter's title, and its text without the title; paragraphs end at line ends.

    `heading`: how many of the title's visible characters stand in the manuscript's text.
    """

    title: str
    text: str
    confidence: Confidence = "high"
    heading: int = field(default=0, compare=False)


@dataclass
class Tally:
    """Where the visible characters of a manuscript went: into chapters, or left out for a reason.

    `characters_in`: all there are. `added`: those in chapters' texts that are not the manuscript's, such as commas
    between the cells of a table.
    """

    characters_in: int = 0
    added: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Manuscript:
    """A book: its title, its chapters in order, and what it says of itself. `language`: as it says, such as `en-GB`."""

    title: str
    chapters: list[Chapter]
    author: str = ""
    language: str = ""
    tally: Tally = field(default_factory=Tally, compare=False)

    @property
    def characters(self) -> int:
        """How many characters all chapters' texts have together."""
        return sum(len(chapter.text) for chapter in self.chapters)

    @property
    def characters_spoken(self) -> int:
        """How many visible characters of the manuscript are read aloud."""
        return sum(chapter.heading + visible(chapter.text) for chapter in self.chapters) - self.tally.added

    @property
    def left_out(self) -> dict[str, int]:
        """Visible characters that are not read aloud, by reason; `other` is what no reason was given for."""
        known = {reason: count for reason, count in self.tally.left_out.items() if count}
        rest = self.tally.characters_in - self.characters_spoken - sum(known.values())
        return known | ({"other": rest} if rest else {})


def visible(text: str) -> int:
    """How many characters `text` has that are not white space."""
    return sum(map(len, text.split()))
