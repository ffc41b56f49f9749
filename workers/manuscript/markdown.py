"""Chapters out of Markdown: its headings say where they begin, its blocks become plain paragraphs.

1. Exactly one `#` heading and some `##` headings: the first is the book's title, not a chapter.
2. Chapters begin at the highest level left of which there is more than one heading; else at the highest there is.
3. Where most headings of that level are volumes ("Part One", 第一卷), chapters begin one level deeper as well.
4. Headings above the chapters' level begin one too; if no text follows, they join the next chapter's title.
   Headings below it are paragraphs of their chapter.
5. Where this finds one chapter only, its lines are looked through for headings as a txt's are.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from workers.manuscript import chapters
from workers.manuscript.chapters import Section
from workers.manuscript.headings import is_volume
from workers.manuscript.model import Manuscript

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
# What begins with the first is not spoken up to the end of the second. Without an end only the tag is left out.
_UNSPOKEN_HTML = [
    (re.compile(r"<!--"), re.compile(r"-->")),
    (re.compile(r"<script\b", re.IGNORECASE), re.compile(r"</script\s*>", re.IGNORECASE)),
    (re.compile(r"<style\b", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)),
    (re.compile(r"<"), re.compile(r">")),
]
# A line that was broken between Chinese characters or marks is joined without a space.
_WIDE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


@dataclass(frozen=True)
class Block:
    """A paragraph of plain text; `level` is 1 to 6 for a heading, 0 for everything else."""

    level: int
    text: str


def split(markdown: str, title: str, *, longest: int = chapters.LONGEST_CHAPTER) -> Manuscript:
    """The manuscript in `markdown`; its title is the document's own where rule 1 finds one, else `title`."""
    blocks = list(_blocks(markdown))
    title, blocks = _own_title(blocks, title)
    sections = _sections(blocks, _chapter_level(blocks))
    found = chapters.from_sections(sections, title, longest=longest)
    if sum(section.readable for section in sections) < 2:
        plain = "\n\n".join(block.text for block in blocks)
        by_lines = chapters.split(plain, title, longest=longest)
        if len(by_lines) > len(found):
            found = by_lines
    return Manuscript(title, found)


def _own_title(blocks: list[Block], title: str) -> tuple[str, list[Block]]:
    first_level = [block for block in blocks if block.level == 1]
    if len(first_level) != 1 or not any(block.level == 2 for block in blocks):
        return title, blocks
    return first_level[0].text, [block for block in blocks if block is not first_level[0]]


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


def _blocks(markdown: str) -> list[Block]:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    blocks = []
    level = 0
    row: list[str] | None = None
    for token in parser.parse(_FRONT_MATTER.sub("", markdown)):
        if token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "heading_close":
            level = 0
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            blocks.append(Block(0, ", ".join(filter(None, row))))
            row = None
        elif token.type == "inline" and row is not None:
            row.append(_plain(token.children or []))
        elif token.type == "inline":
            blocks.append(Block(level, _plain(token.children or [])))
        elif token.type == "html_block":
            blocks.append(Block(0, html.unescape(_spoken_html(token.content)).strip()))
    # A heading is one line, whatever breaks it was written with.
    spaced = (Block(block.level, " ".join(block.text.split()) if block.level else block.text) for block in blocks)
    return [block for block in spaced if block.text]


def _spoken_html(content: str) -> str:
    """The text of raw HTML. An end that was looked for in vain is not looked for again: that could take hours."""
    pairs = list(_UNSPOKEN_HTML)
    spoken, at = [], 0
    # The last pair is lost when there is no `>` any more, and without one nothing ends.
    while _UNSPOKEN_HTML[-1] in pairs and (begin := content.find("<", at)) >= 0:
        spoken.append(content[at:begin])
        at = begin
        for pair in [pair for pair in pairs if pair[0].match(content, begin)]:
            if end := pair[1].search(content, begin):
                at = end.end()
                break
            pairs.remove(pair)
    return "".join([*spoken, content[at:]])


def _plain(tokens: list[Token]) -> str:
    """The text of inline `tokens`: links give their text, images their alt text, raw HTML nothing."""
    text = ""
    broken = False
    for token in tokens:
        if token.type == "softbreak":
            broken = True
            continue
        piece = "\n" if token.type == "hardbreak" else _spoken(token)
        if broken and piece and text:
            text += "" if _WIDE.match(text[-1]) and _WIDE.match(piece[0]) else " "
            broken = False
        text += piece
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _spoken(token: Token) -> str:
    if token.type == "image":
        return _plain(token.children or [])
    return token.content if token.type in ("text", "code_inline") else ""
