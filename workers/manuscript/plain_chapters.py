"""Chapters out of plain text, by the lines that look like headings; no line of text is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.core.projects.text_lengths import divided, numbered
from workers.manuscript.headings import Ordinal, is_contents, is_heading, is_volume, numbered_run, ordinal
from workers.manuscript.model import Chapter, Confidence, Manuscript, Tally, visible

MAX_CHAPTER = 100_000  # characters
_DEEPEST_NESTING = 3  # volume, part, chapter: more headings in a row are a list of contents
_HEAD = 500  # characters, in which the author may be named
_AUTHOR = re.compile(r"^[ \t\u3000]*(?:作者[:：][ \t]*(\S.{0,40})|[Bb]y ([A-Z][\w.'’ -]{1,60}))[ \t]*$", re.MULTILINE)
_LEADER = re.compile(r"\s*[.…·]{2,}[\s.…·]*\d*$")  # the dots and the page number in a list of contents


@dataclass
class Section:
    """The lines under one heading; `title` is None for what stands before the first.

    `heading`: how many visible characters of the title stand in the text; None for all of them.
    """

    title: str | None
    lines: list[str] = field(default_factory=list)
    confidence: Confidence = "high"
    heading: int | None = None

    @property
    def readable(self) -> bool:
        return any(char.isalnum() for line in self.lines for char in line)

    @property
    def heading_size(self) -> int:
        return visible(self.title or "") if self.heading is None else self.heading


def read(text: str, title: str, *, longest: int = MAX_CHAPTER) -> Manuscript:
    """The manuscript in the plain `text`."""
    tally = Tally(characters_in=visible(text))
    author = _AUTHOR.search(text[:_HEAD])
    found = split(text, title, tally, longest=longest)
    return Manuscript(title, found, author=(author[1] or author[2]).strip() if author else "", tally=tally)


def split(text: str, title: str, tally: Tally | None = None, *, longest: int = MAX_CHAPTER) -> list[Chapter]:
    """The chapters of `text`; a book without headings is one chapter with the book's `title`.

    What stands before the first heading is a chapter with the book's title. Chapters over `longest` characters are
    cut at paragraph ends into `title (1)`, `title (2)` and so on. What is left out goes into `tally`.
    """
    left_out = Tally()
    found = from_sections(_sections(text), title, left_out, longest=longest)
    if not found:
        return cut(Chapter(title, text.strip("\n")), longest)
    if tally:
        tally.left_out += left_out.left_out
    return found


def from_sections(
    sections: list[Section], title: str, tally: Tally | None = None, *, longest: int = MAX_CHAPTER
) -> list[Chapter]:
    """The chapters of `sections`, of which those without anything to read give their headings to the next one.

    Such a heading is left out where it is the book's `title`, or belongs to a list of contents: it comes again with
    text, or more than three stand in a row. Empty where no section has anything to read.
    """
    tally = tally or Tally()
    known = {_key(section.title) for section in sections if section.title and section.readable}
    chapters: list[Chapter] = []
    above: list[Section] = []
    lines: list[str] = []
    for section in sections:
        lines += section.lines
        if section.readable:
            if len(above) >= _DEEPEST_NESTING:
                _leave_out(above, tally)
                above = []
            chapters.append(_chapter(section, above, title, lines))
            above, lines = [], []
        elif section.title and _key(section.title) == _key(title):
            tally.left_out["frontMatter"] += section.heading_size
        elif section.title and (_key(section.title) in known or is_contents(section.title)):
            _leave_out([section], tally)
        elif section.title:
            above.append(section)
    if chapters:
        _leave_out(above, tally)
        if any(line.strip() for line in lines):
            last = chapters[-1]
            chapters[-1] = Chapter(last.title, _joined([last.text, *lines]), last.confidence, last.heading)
    return [part for chapter in chapters for part in cut(chapter, longest)]


def _chapter(section: Section, above: list[Section], title: str, lines: list[str]) -> Chapter:
    if not section.title:
        return Chapter(title, _joined(lines), section.confidence)
    whole = " ".join([*(one.title or "" for one in above), section.title])
    heading = sum(one.heading_size for one in [*above, section])
    short, rest = divided(whole)
    if rest and heading == visible(whole):
        # All of it stands in the manuscript: what no title has room for is read as text.
        lines, heading = [rest, "", *lines], heading - visible(rest)
    return Chapter(short, _joined(lines), section.confidence, heading)


def _leave_out(sections: list[Section], tally: Tally) -> None:
    tally.left_out["contents"] += sum(section.heading_size for section in sections)


def _sections(text: str) -> list[Section]:
    lines = text.split("\n")
    sure = {index for index, line in enumerate(lines) if is_heading(line)}
    numbered = set() if any(ordinal(lines[index]) for index in sure) else numbered_run(lines)
    sections = [Section(None)]
    count = _Count()
    for index, line in enumerate(lines):
        if index not in sure and index not in numbered:
            sections[-1].lines.append(line)
            continue
        title = " ".join(line.split())
        expected = count.takes(ordinal(title), is_volume(title))
        sections.append(Section(title, confidence="high" if expected and index in sure else "low"))
    return sections


class _Count:
    """Which numbers one expects next, so that a heading which is none by mistake is seen."""

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}
        self._last: dict[str, int] = {}

    def takes(self, counted: Ordinal | None, is_volume: bool) -> bool:
        """Whether a heading's number follows one before it, or the one that was expected last."""
        if counted is None:
            return True
        unit, number = counted
        before = (self._kept.get(unit, number - 1), self._last.get(unit, number - 1))
        expected = number == 1 or number - 1 in before
        if is_volume:
            self._kept, self._last = {}, {}  # chapters may begin at any number
        self._last[unit] = number
        if expected:
            self._kept[unit] = number
        return expected


def _key(title: str) -> str:
    """What is the same of a heading and its entry in the list of contents."""
    return "".join(_LEADER.sub("", title.casefold()).split()) or title


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).strip("\n")


def cut(chapter: Chapter, longest: int) -> list[Chapter]:
    """`chapter` in parts of at most `longest` characters, cut at paragraph ends where there are any."""
    if len(chapter.text) <= longest:
        return [chapter]
    return [
        Chapter(numbered(chapter.title, number), part, chapter.confidence, chapter.heading)
        if number == 1
        else Chapter(numbered(chapter.title, number), part, "low")
        for number, part in enumerate(_parts(chapter.text, longest), start=1)
    ]


def _parts(text: str, longest: int) -> Iterator[str]:
    while len(text) > longest:
        end = text.rfind("\n", 1, longest) + 1 or longest
        part, text = text[:end], text[end:]
        if part.strip():
            yield part.strip("\n")
    if text.strip():
        yield text.strip("\n")
