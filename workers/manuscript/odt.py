"""Texts of LibreOffice and its like (OpenDocument 1.3, part 3) as HTML. Comments and deleted text are not read."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from workers.manuscript.html_writer import CONTENTS, HIDDEN, INDEX, NOTE, Page
from workers.manuscript.office_xml import attribute, broken, child, local, main_part, part

_MAX_SPACES = 1000
_UNREAD = {"tracked-changes", "annotation", "annotation-end", "forms", "variable-decls", "sequence-decls"}
_CONTENTS = {"table-of-content", "illustration-index", "table-index", "object-index", "user-index"}
_INDEXES = {"alphabetical-index", "bibliography"}


@dataclass
class Style:
    """A style: what it is called for people, the level of headings that it is for (0: none), and whether it hides."""

    name: str
    parent: str
    level: int
    hidden: bool


def read(archive: zipfile.ZipFile) -> str:
    """The document as HTML. Raises JobError (`conversion_failed`), Unprocessable (`unsafe_xml`)."""
    content = main_part(archive, "content.xml")
    text = child(child(content, "body"), "text")
    if text is None:
        raise broken("text")
    styles = _styles(part(archive, "styles.xml"), content)
    reader = _Reader(styles)
    reader.read(text)
    return reader.page.html()


def _styles(*roots: Element | None) -> dict[str, Style]:
    found = {}
    for root in roots:
        for group in root if root is not None else []:
            if local(group) not in {"styles", "automatic-styles"}:
                continue
            for one in group:
                id = attribute(one, "name")
                level = attribute(one, "default-outline-level")
                shown = attribute(one, "display-name") or id.replace("_20_", " ")
                properties = child(one, "text-properties")
                hidden = properties is not None and attribute(properties, "display") == "none"
                found[id] = Style(
                    shown.lower(),
                    attribute(one, "parent-style-name"),
                    _number(level, 0),
                    hidden,
                )
    return found


class _Reader:
    def __init__(self, styles: dict[str, Style]) -> None:
        self.page = Page()
        self._styles = styles
        self._in_note = False
        # By an element's name what becomes of it. Of all others the content is read, as if they were not there.
        self._treatments: dict[str, Callable[[Element], None]] = {
            "h": lambda one: self._paragraph(one, _number(attribute(one, "outline-level"), 1)),
            "p": lambda one: self._paragraph(one, 0),
            "span": self._span,
            "s": self._spaces,
            "tab": lambda _: self.page.text("\t"),
            "line-break": lambda _: self.page.line_break(),
            "note": self._note,
            "table": lambda one: self._within("table", one),
            "table-row": lambda one: self._within("tr", one),
            "table-cell": lambda one: self._within("td", one),
            "section": self._section,
            "hidden-text": lambda one: self._within(HIDDEN, one),
            "hidden-paragraph": lambda one: self._within(HIDDEN, one),
            "ruby": lambda one: self._within("ruby", one),
            "ruby-text": lambda one: self._within("rt", one),
            "frame": self._frame,
            "title": lambda _: None,
            "desc": lambda _: None,
        }
        self._treatments |= dict.fromkeys(_UNREAD, lambda _: None)
        self._treatments |= dict.fromkeys(_CONTENTS, lambda one: self._within(CONTENTS, one))
        self._treatments |= dict.fromkeys(_INDEXES, lambda one: self._within(INDEX, one))

    def read(self, parent: Element) -> None:
        """The children of an element, with the text that stands between them."""
        for one in parent:
            treatment = self._treatments.get(local(one))
            if treatment is not None:
                treatment(one)
            else:
                self.page.text(_inline(one, one.text))
                self.read(one)
            self.page.text(_inline(parent, one.tail))

    def _within(self, tag: str, element: Element) -> None:
        with self.page.within(tag):
            self.page.text(_inline(element, element.text))
            self.read(element)

    def _styled(self, element: Element) -> tuple[int, bool, str]:
        """The level of headings, whether it hides, and the name of the first style that is not the document's own."""
        id, seen, level, hidden, name = attribute(element, "style-name"), set[str](), 0, False, ""
        while id in self._styles and id not in seen:
            seen.add(id)
            style = self._styles[id]
            level, hidden = level or style.level, hidden or style.hidden
            name = style.name
            if name in {"title", "subtitle", "author", "date"}:
                break
            id = style.parent
        return level, hidden, name or id.replace("_20_", " ").lower()

    def _paragraph(self, element: Element, level: int) -> None:
        of_style, hidden, name = self._styled(element)
        if self._in_note:
            self.page.text(element.text or "")
            self.read(element)
            self.page.text(" ")
            return
        with self.page.paragraph(level or of_style, name):
            self._within(HIDDEN if hidden else "span", element)

    def _span(self, element: Element) -> None:
        _, hidden, _ = self._styled(element)
        self._within(HIDDEN if hidden else "span", element)

    def _spaces(self, element: Element) -> None:
        count = attribute(element, "c")
        self.page.text(" " * min(_number(count, 1), _MAX_SPACES))

    def _note(self, element: Element) -> None:
        if self._in_note:
            return
        self._in_note = True
        self._within(NOTE, element)
        self._in_note = False

    def _section(self, element: Element) -> None:
        self._within("div hidden" if attribute(element, "display") == "none" else "div", element)

    def _frame(self, element: Element) -> None:
        """A picture by its description, or a box with text."""
        self.read(element)
        if child(element, "text-box") is None:
            described = child(element, "desc") if child(element, "desc") is not None else child(element, "title")
            self.page.picture(described.text or "" if described is not None else "")


_TABLES = {"table", "table-row", "table-cell", "table-header-rows", "table-rows"}
_STRUCTURE = {"text", "note", "note-body", "list", "list-item", "section", "frame", "text-box", "ruby"}
_STRUCTURE |= _TABLES | _CONTENTS | _INDEXES | {"index-body", "index-title"}


def _inline(parent: Element, text: str | None) -> str:
    """Text where there may be text: between paragraphs there is but white space."""
    return "" if not text or local(parent) in _STRUCTURE else text


def _number(value: str, default: int) -> int:
    return int(value) if value.isdecimal() and len(value) < 9 else default
