"""Chapters out of a document whose headings are marked as such: they say where chapters begin.

1. Exactly one `h1` and some `h2`: the first is the book's title, not a chapter.
2. Chapters begin at the highest level left of which there is more than one heading; else at the highest there is.
3. Where most headings of that level are volumes ("Part One", 第一卷), chapters begin one level deeper as well.
4. Headings above the chapters' level begin one too; if no text follows, they join the next chapter's title.
   Headings below it are paragraphs of their chapter.
5. Where this finds one chapter only, its lines are looked through for headings as a txt's are.
"""

from __future__ import annotations

import re
from collections import Counter

from app.core.projects.text_lengths import shortened
from workers.manuscript import plain_chapters
from workers.manuscript.blocks import Block, Document, leave_out
from workers.manuscript.headings import is_volume
from workers.manuscript.model import Manuscript, Tally, visible
from workers.manuscript.plain_chapters import Section

_UNLIKE = re.compile(r"[\W_]+")


def manuscript(document: Document, title: str, *, longest: int = plain_chapters.MAX_CHAPTER) -> Manuscript:
    """The manuscript in `document`; its title is the document's own where it has one or rule 1 finds one."""
    tally = document.tally
    title = document.title or title
    title, blocks = _own_title(document.blocks, title, tally)
    blocks = without_title(blocks, title, document.author, tally)
    sections = _sections(blocks, _chapter_level(blocks))
    by_headings = Tally()
    found = plain_chapters.from_sections(sections, title, by_headings, longest=longest)
    if sum(section.readable for section in sections) < 2:
        plain = "\n\n".join(block.text for block in blocks)
        by_lines = Tally()
        guessed = plain_chapters.split(plain, title, by_lines, longest=longest)
        if len(guessed) > len(found):
            found, by_headings = guessed, by_lines
    tally.left_out += by_headings.left_out
    return Manuscript(title, found, document.author, document.language, tally)


def without_title(blocks: list[Block], title: str, author: str, tally: Tally) -> list[Block]:
    """`blocks` without the title and the author that stand before anything else: they are no chapter."""
    known = {key(title), key(author)} - {""}
    count = next((number for number, block in enumerate(blocks) if block.level or key(block.text) not in known), 0)
    leave_out(blocks[:count], "frontMatter", tally)
    return blocks[count:]


def key(text: str) -> str:
    """What is the same of a title wherever it stands: its letters and digits."""
    return _UNLIKE.sub("", text.casefold())


def _own_title(blocks: list[Block], title: str, tally: Tally) -> tuple[str, list[Block]]:
    first_level = [block for block in blocks if block.level == 1]
    if len(first_level) != 1 or not any(block.level == 2 for block in blocks):
        return title, blocks
    tally.left_out["frontMatter"] += visible(first_level[0].text)
    return shortened(first_level[0].text), [block for block in blocks if block is not first_level[0]]


def _chapter_level(blocks: list[Block]) -> int:
    """The deepest level at which a chapter begins; 0 where there are no headings."""
    counts = Counter(block.level for block in blocks if block.level)
    levels = sorted(counts)
    level = next((level for level in levels if counts[level] > 1), levels[0] if levels else 0)
    titles = [block.text for block in blocks if block.level == level]
    deeper = [other for other in levels if other > level]
    if level and deeper and sum(map(is_volume, titles)) * 2 > len(titles):
        return deeper[0]
    return level


def _sections(blocks: list[Block], level: int) -> list[Section]:
    sections = [Section(None)]
    for block in blocks:
        if 0 < block.level <= level:
            sections.append(Section(block.text))
        else:
            sections[-1].lines += [block.text, ""]
    return sections
