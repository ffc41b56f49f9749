"""What a manuscript is once it has been read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """A chapter's title, and its text without the title; paragraphs end at line ends."""

    title: str
    text: str


@dataclass(frozen=True)
class Manuscript:
    """A book: its title and its chapters in order."""

    title: str
    chapters: list[Chapter]

    @property
    def characters(self) -> int:
        """How many characters all chapters' texts have together."""
        return sum(len(chapter.text) for chapter in self.chapters)
