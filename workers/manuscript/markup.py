"""HTML and XHTML to blocks of plain text, each element by its stated treatment (docs/use/manuscripts.md).

The parser is the standard library's: it takes any markup, and keeps nothing but what is being read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser

from app.core.manuscripts.text import scrubbed
from app.core.projects.text_lengths import MAX_TITLE
from workers.manuscript.blocks import Block, Document
from workers.manuscript.model import visible

SCENE_BREAK = "***"
"""The paragraph that stands for a rule between two scenes."""

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl"),
    *("dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html", "li", "main"),
    *("nav", "ol", "p", "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    *_HEADINGS,
}
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
# Nobody sees their content: it is no text.
_UNSEEN = {"script", "style", "template", "noscript", "annotation", "object", "iframe", "head"}
# What an element is for, as EPUB's `epub:type`, ARIA's `role` or the habit of a class name tells.
_PURPOSES = {
    "notes": "footnote footnotes endnote endnotes rearnote rearnotes noteref doc-footnote doc-endnote doc-endnotes "
    "doc-noteref doc-backlink footnote-ref footnote-back",
    "pageNumbers": "pagebreak doc-pagebreak pagenum pagenumber page-number",
    "contents": "toc landmarks page-list loi lot doc-toc doc-pagelist",
    "index": "index doc-index",
    "frontMatter": "titlepage halftitlepage copyright-page cover colophon imprint doc-cover doc-colophon",
}
_REASON = {word: reason for reason, words in _PURPOSES.items() for word in words.split()}
_BY_CLASS = {"notes", "pageNumbers"}  # of the others, class names say too little
_TAG_REASON = {"nav": "contents", "rt": "ruby", "rp": "ruby", "svg": "pictures"}
_NOTE_MARK = re.compile(r"[\[(（【〔]?(?:\d{1,4}|[*†‡§]{1,3}|[ivx]{1,5}|注\d{0,3})[\])）】〕]?")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_CODE_CLASS = re.compile(r"\b(?:sourceCode|code|listing|programlisting|highlight)\b")
_BREAK = "\u2028"  # stands for <br> while a paragraph is put together
# A line that was broken between Chinese characters or marks is joined without a space.
_WIDE = r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_WIDE_JOINT = re.compile(rf"(?<={_WIDE})[ \t]*\n\s*(?={_WIDE})")
Attributes = dict[str, str]


def read(text: str, wanted: Collection[str] = ()) -> Document:
    """The document in the markup `text`; of its places those whose names are `wanted` are noted."""
    reader = _Reader(frozenset(wanted))
    reader.feed(text)
    reader.close()
    return reader.end()


@dataclass
class _Element:
    """An open element: its name, how many of that name are open from it inwards, and what its end does."""

    tag: str
    end: Callable[[], None]
    count: int = 1


class _Reader(HTMLParser):
    """Only what changes how text is read is kept open: a skipped element, a heading, a `pre`, a link, a row."""

    def __init__(self, wanted: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self._wanted = wanted
        self._text: list[str] = []
        self._row: list[str] | None = None
        self._level = 0
        self._open: list[_Element] = []
        self._skipping: str | None = None
        self._unseen = 0
        self._pre = False

    def end(self) -> Document:
        """The document, once all of it was fed. A script without an end has swallowed what stands behind it."""
        if self._skipping == "":
            self._skipping = "hidden"
            self._leave_out_size("hidden", self._unseen + visible(self.rawdata))
        while self._open:
            self._close_last()
        self._flush()
        self._end_row()
        return self.document

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._close_forgotten(tag)
        if self._open and self._open[-1].tag == tag and tag not in _VOID:
            self._open[-1].count += 1
        if self._skipping is not None:
            self._meta(tag, given)
            return
        if tag in _BLOCKS:
            self._flush()
        for name in (given.get("id"), given.get("name") if tag == "a" else None):
            if name in self._wanted:
                self.document.anchors.setdefault(name, len(self.document.blocks))
        if tag == "html":
            self.document.language = given.get("lang") or given.get("xml:lang") or self.document.language
        self._begin(tag, given)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open[-1].count -= 1
            if self._open[-1].count == 0:
                self._close_last()
                return
        if self._skipping is not None:
            # Who closes the whole document closes what was forgotten in it.
            if tag in {"body", "html"} and self._skipping:
                self._close_last()
            return
        if tag in {"td", "th"} and self._row is not None:
            self._flush()
            self._row.append("")
        elif tag in {"tr", "table"}:
            self._flush()
            self._end_row()
        elif tag in _BLOCKS:
            self._flush()

    def handle_data(self, data: str) -> None:
        if self._skipping == "":
            if self._open[-1].tag == "head" and self.lasttag == "title" and not self.document.title:
                self.document.title = " ".join(scrubbed(data).split())[:MAX_TITLE]
            self._unseen += visible(data)
            return
        data = scrubbed(data).replace(_BREAK, " ")
        if self._skipping is not None:
            self._leave_out(self._skipping, data)
            return
        self.document.tally.characters_in += visible(data)
        self._text.append(data.replace("\n", _BREAK) if self._pre else data)

    def unknown_decl(self, data: str) -> None:
        if data.startswith("CDATA["):
            self.handle_data(data.removeprefix("CDATA["))

    def parse_html_declaration(self, i: int) -> int:
        """As a browser does: what is no declaration is a comment, never an error."""
        if self.rawdata.startswith("<!--", i):
            return self.parse_comment(i)
        if self.rawdata.startswith("<![CDATA[", i):
            end = self.rawdata.find("]]>", i)
            if end >= 0:
                self.unknown_decl(self.rawdata[i + 3 : end])
                return end + 3
        return self.parse_bogus_comment(i)

    def _begin(self, tag: str, given: Attributes) -> None:
        reason = "" if tag in _UNSEEN else _reason(tag, given)
        if tag in _VOID:
            self._void(tag, given)
        elif reason is not None:
            self._skip(tag, reason)
        elif tag == "pre":
            if _CODE_CLASS.search(given.get("class", "")):
                self._skip(tag, "code")
            else:
                self._pre = True
                self._opened(tag, self._end_pre)
        elif tag == "code" and self._pre and not "".join(self._text).strip():
            self._skip(tag, "code")
        elif tag in _HEADINGS:
            self._level = _HEADINGS[tag]
            self._opened(tag, self._end_heading)
        elif tag == "a" and "#" in given.get("href", ""):
            self._opened(tag, partial(self._end_link, len(self._text)))
        elif tag == "tr":
            self._end_row()
            self._row = [""]

    def _void(self, tag: str, given: Attributes) -> None:
        if tag == "br":
            self._text.append(_BREAK)
        elif tag == "hr" and "footnote" not in given.get("class", ""):
            self._add(Block(0, SCENE_BREAK, len(SCENE_BREAK)))
        elif tag == "img":
            self._leave_out("pictures", scrubbed(given.get("alt", "")))

    def _meta(self, tag: str, given: Attributes) -> None:
        if tag != "meta" or self._open[-1].tag != "head":
            return
        name, content = given.get("name", "").lower(), " ".join(scrubbed(given.get("content", "")).split())
        if name in {"author", "dc.creator", "dcterms.creator"} and not self.document.author:
            self.document.author = content[:MAX_TITLE]
        elif name in {"dc.language", "dcterms.language"} and not self.document.language:
            self.document.language = content[:MAX_TITLE]

    def _skip(self, tag: str, reason: str) -> None:
        self._skipping, self._unseen = reason, 0
        self._opened(tag, self._end_skip)

    def _opened(self, tag: str, end: Callable[[], None]) -> None:
        self._open.append(_Element(tag, end))

    def _close_last(self) -> None:
        self._open.pop().end()

    def _close_forgotten(self, tag: str) -> None:
        """Ends what `tag` cannot stand in: HTML lets some ends be left out, and people leave out others."""
        last = self._open[-1].tag if self._open else ""
        if (
            (last == "head" and tag in _BLOCKS)
            or (last == "a" and tag == "a")
            or (last in _HEADINGS and (tag in _HEADINGS or tag in {"p", "section"}) and self._skipping is None)
        ):
            self._close_last()

    def _end_skip(self) -> None:
        self._skipping = None

    def _end_pre(self) -> None:
        self._flush()
        self._pre = False

    def _end_heading(self) -> None:
        self._flush()
        self._level = 0

    def _end_link(self, since: int) -> None:
        """A link that is but a mark is the number of a note."""
        text = "".join(self._text[since:])
        if _NOTE_MARK.fullmatch(text.strip()):
            del self._text[since:]
            self.document.tally.characters_in -= visible(text)
            self._leave_out("notes", text)

    def _leave_out(self, reason: str, text: str) -> None:
        self._leave_out_size(reason, visible(text))

    def _leave_out_size(self, reason: str, size: int) -> None:
        self.document.tally.characters_in += size
        self.document.tally.left_out[reason] += size

    def _flush(self) -> None:
        """Ends the paragraph that is being read."""
        text, self._text = _plain("".join(self._text)), []
        if not text:
            return
        if self._level:
            self._end_row()
            # A heading is one line, whatever breaks it was written with.
            self._add(Block(self._level, " ".join(text.split())))
        elif self._row is None:
            self._add(Block(0, text))
        else:
            self._row[-1] += ("\n" if self._row[-1] else "") + text

    def _end_row(self) -> None:
        """A row is one paragraph with commas between its cells, unless a cell has paragraphs of its own."""
        row, self._row = [cell for cell in self._row or [] if cell], None
        if any("\n" in cell for cell in row):
            for cell in row:
                self._add(Block(0, cell))
        elif row:
            self._add(Block(0, ", ".join(row), len(row) - 1))

    def _add(self, block: Block) -> None:
        self.document.blocks.append(block)
        self.document.tally.added += block.added


def _reason(tag: str, given: Attributes) -> str | None:
    """Why an element is left out; None where it is not."""
    if tag in _TAG_REASON:
        return _TAG_REASON[tag]
    for word in f"{given.get('epub:type', '')} {given.get('role', '')}".split():
        if word in _REASON:
            return _REASON[word]
    for word in given.get("class", "").split():
        if _REASON.get(word) in _BY_CLASS:
            return _REASON[word]
    return "hidden" if "hidden" in given or _HIDDEN.search(given.get("style", "")) else None


def _plain(text: str) -> str:
    lines = (" ".join(_WIDE_JOINT.sub("", line).split()) for line in text.split(_BREAK))
    return "\n".join(lines).strip()
