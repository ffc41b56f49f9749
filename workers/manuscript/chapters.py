"""Chapters out of plain text, by the lines that look like headings; no line of text is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from workers.manuscript.headings import is_contents, is_heading
from workers.manuscript.model import Chapter

LONGEST_CHAPTER = 100_000  # characters
_DEEPEST_NESTING = 3  # volume, part, chapter: more headings in a row are a list of contents
_LEADER = re.compile(r"\s*[.…·]{2,}[\s.…·]*\d*$")  # the dots and the page number in a list of contents


@dataclass
class Section:
    """The lines under one heading; `title` is None for what stands before the first."""

    title: str | None
    lines: list[str] = field(default_factory=list)

    @property
    def readable(self) -> bool:
        return any(char.isalnum() for line in self.lines for char in line)


def split(text: str, title: str, *, longest: int = LONGEST_CHAPTER) -> list[Chapter]:
    """The chapters of `text`; a book without headings is one chapter with the book's `title`.

    What stands before the first heading is a chapter with the book's title. Chapters over `longest` characters are
    cut at paragraph ends into `title (1)`, `title (2)` and so on.
    """
    return from_sections(_sections(text), title, longest=longest) or _cut(Chapter(title, text.strip("\n")), longest)


def from_sections(sections: list[Section], title: str, *, longest: int = LONGEST_CHAPTER) -> list[Chapter]:
    """The chapters of `sections`, of which those without anything to read give their headings to the next one.

    Such a heading is dropped where it is the book's `title`, or belongs to a list of contents: it comes again with
    text, or more than three stand in a row. Empty where no section has anything to read.
    """
    known = {_key(title)} | {_key(section.title) for section in sections if section.title and section.readable}
    chapters: list[Chapter] = []
    titles: list[str] = []
    lines: list[str] = []
    for section in sections:
        lines += section.lines
        if not section.readable:
            if section.title and _key(section.title) not in known and not is_contents(section.title):
                titles.append(section.title)
            continue
        if section.title:
            above = titles if len(titles) < _DEEPEST_NESTING else []
            chapters.append(Chapter(" ".join([*above, section.title]), _joined(lines)))
        else:
            chapters.append(Chapter(title, _joined(lines)))
        titles, lines = [], []
    if chapters and any(line.strip() for line in lines):
        chapters[-1] = Chapter(chapters[-1].title, _joined([chapters[-1].text, *lines]))
    return [part for chapter in chapters for part in _cut(chapter, longest)]


def _sections(text: str) -> list[Section]:
    sections = [Section(None)]
    for line in text.split("\n"):
        if is_heading(line):
            sections.append(Section(" ".join(line.split())))
        else:
            sections[-1].lines.append(line)
    return sections


def _key(title: str) -> str:
    """What is the same of a heading and its entry in the list of contents."""
    return "".join(_LEADER.sub("", title.casefold()).split()) or title


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n")


def _cut(chapter: Chapter, longest: int) -> list[Chapter]:
    if len(chapter.text) <= longest:
        return [chapter]
    parts = enumerate(_parts(chapter.text, longest), start=1)
    return [Chapter(f"{chapter.title} ({number})", part) for number, part in parts]


def _parts(text: str, longest: int) -> Iterator[str]:
    while len(text) > longest:
        end = text.rfind("\n", 1, longest) + 1 or longest
        part, text = text[:end], text[end:]
        if part.strip():
            yield part.strip("\n")
    if text.strip():
        yield text.strip("\n")
