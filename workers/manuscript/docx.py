"""Word's documents (ECMA-376, part 1) as HTML: text, headings, tables, notes, and what is hidden or left out.

What Word computes (numbers of lists and pages) is no text of the document. Of what stands in two forms, for old and
new programs, the new one is read. Comments, headers, footers and deleted text are not read.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from workers.manuscript.html_writer import CONTENTS, HIDDEN, NOTE, Page
from workers.manuscript.office_xml import attribute, broken, child, children, local, main_part, part

_BODY = 9  # the outline level of what is no heading
_OFF = {"0", "false", "off"}
_PROPERTIES = {"pPr", "rPr", "tblPr", "tblGrid", "trPr", "tcPr", "sdtPr", "sectPr"}
_UNREAD = _PROPERTIES | {"del", "moveFrom", "delText", "instrText"}
_PRIVATE = range(0xD800, 0xF900)  # no characters, and letters of fonts that have pictures instead


@dataclass
class Style:
    """A style of paragraphs or characters: its name in small letters, its outline level, and whether it hides."""

    name: str = ""
    level: int = _BODY
    hidden: bool = False


def read(archive: zipfile.ZipFile) -> str:
    """The document as HTML. Raises JobError (`conversion_failed`), Unprocessable (`unsafe_xml`)."""
    body = child(main_part(archive, _document(archive)), "body")
    if body is None:
        raise broken("body")
    reader = _Reader(_styles(part(archive, "word/styles.xml")), _notes(archive))
    reader.read(body)
    return reader.page.html()


def _document(archive: zipfile.ZipFile) -> str:
    """The name of the main part, which programs other than Word may choose."""
    for relation in children(part(archive, "_rels/.rels")):
        if attribute(relation, "Type").endswith("/officeDocument"):
            return attribute(relation, "Target").lstrip("/")
    return "word/document.xml"


def _styles(root: Element | None) -> dict[str, Style]:
    found: dict[str, Style] = {}
    based: dict[str, str] = {}
    for one in children(root):
        if local(one) != "style":
            continue
        id = attribute(one, "styleId")
        based[id] = _value(one, "basedOn")
        name = _value(one, "name").lower()
        level = _value(child(one, "pPr"), "outlineLvl") or _numbered(name)
        found[id] = Style(name, _level(level), _is_on(child(one, "rPr"), "vanish"))
    for id, style in found.items():
        parent, seen = based[id], {id}
        while parent in found and parent not in seen:
            seen.add(parent)
            style.level = found[parent].level if style.level == _BODY else style.level
            style.hidden = style.hidden or found[parent].hidden
            parent = based[parent]
    return found


def _numbered(name: str) -> str:
    """The outline level that a built-in heading has, as a style may leave it out."""
    number = name.removeprefix("heading ")
    return str(int(number) - 1) if number != name and number.isdecimal() else ""


def _level(value: str) -> int:
    return int(value) if value.isdecimal() and int(value) < _BODY else _BODY


def _notes(archive: zipfile.ZipFile) -> dict[tuple[str, str], Element]:
    """Notes by their kind and id."""
    found = {}
    for kind in ("footnote", "endnote"):
        for note in children(part(archive, f"word/{kind}s.xml")):
            if attribute(note, "type") in {"", "normal"}:
                found[kind, attribute(note, "id")] = note
    return found


def _value(properties: Element | None, name: str) -> str:
    found = child(properties, name)
    return attribute(found, "val") if found is not None else ""


def _is_on(properties: Element | None, name: str) -> bool:
    found = child(properties, name)
    return found is not None and attribute(found, "val") not in _OFF


class _Reader:
    def __init__(self, styles: dict[str, Style], notes: dict[tuple[str, str], Element]) -> None:
        self.page = Page()
        self._styles = styles
        self._notes = notes
        self._in_note = False
        # By an element's name what becomes of it. Of all others the content is read, as if they were not there.
        self._treatments: dict[str, Callable[[Element], None]] = {
            "p": self._paragraph,
            "r": self._run,
            "t": lambda one: self.page.text(one.text or ""),
            "tab": lambda _: self.page.text("\t"),
            "br": lambda _: self.page.line_break(),
            "cr": lambda _: self.page.line_break(),
            "noBreakHyphen": lambda _: self.page.text("\u2011"),
            "sym": self._symbol,
            "footnoteReference": lambda one: self._note("footnote", one),
            "endnoteReference": lambda one: self._note("endnote", one),
            "tbl": lambda one: self._within("table", one),
            "tr": self._row,
            "tc": lambda one: self._within("td", one),
            "sdt": self._control,
            "ruby": self._ruby,
            "AlternateContent": self._alternative,
            "docPr": lambda one: self.page.picture(attribute(one, "descr")),
            "rect": self._rectangle,
        } | dict.fromkeys(_UNREAD, lambda _: None)

    def read(self, parent: Element) -> None:
        for one in parent:
            treatment = self._treatments.get(local(one))
            if treatment is not None:
                treatment(one)
            else:
                self.read(one)

    def _within(self, tag: str, element: Element) -> None:
        with self.page.within(tag):
            self.read(element)

    def _paragraph(self, element: Element) -> None:
        properties = child(element, "pPr")
        style = self._styles.get(_value(properties, "pStyle"), Style())
        level = _level(_value(properties, "outlineLvl")) if child(properties, "outlineLvl") is not None else style.level
        if self._in_note:
            self.read(element)
            self.page.text(" ")
        elif style.name.startswith(("toc ", "table of figures")):
            with self.page.within(CONTENTS), self.page.paragraph():
                self.read(element)
        elif style.hidden:
            with self.page.paragraph():
                self._within(HIDDEN, element)
        else:
            with self.page.paragraph(level + 1 if level < _BODY else 0, style.name):
                self.read(element)

    def _run(self, element: Element) -> None:
        properties = child(element, "rPr")
        style = self._styles.get(_value(properties, "rStyle"), Style())
        if _is_on(properties, "vanish") or (style.hidden and child(properties, "vanish") is None):
            self._within(HIDDEN, element)
        elif _value(properties, "vertAlign") == "superscript":
            self._within("sup", element)
        else:
            self.read(element)

    def _row(self, element: Element) -> None:
        if child(child(element, "trPr"), "del") is None:
            self._within("tr", element)

    def _symbol(self, element: Element) -> None:
        char = attribute(element, "char")
        if re.fullmatch("[0-9A-Fa-f]{4}", char) and int(char, 16) not in _PRIVATE:
            self.page.text(chr(int(char, 16)))

    def _note(self, kind: str, element: Element) -> None:
        note = self._notes.pop((kind, attribute(element, "id")), None)
        if note is not None and not self._in_note:
            self._in_note = True
            self._within(NOTE, note)
            self._in_note = False

    def _control(self, element: Element) -> None:
        gallery = _value(child(child(element, "sdtPr"), "docPartObj"), "docPartGallery")
        if gallery == "Table of Contents":
            self._within(CONTENTS, element)
        else:
            self.read(element)

    def _ruby(self, element: Element) -> None:
        with self.page.within("ruby"):
            for one in element:
                if local(one) == "rt":
                    self._within("rt", one)
                elif local(one) == "rubyBase":
                    self.read(one)

    def _alternative(self, element: Element) -> None:
        chosen = child(element, "Choice")
        self.read(chosen if chosen is not None else element)

    def _rectangle(self, element: Element) -> None:
        if attribute(element, "hr") in {"t", "true"}:
            self.page.rule()
        self.read(element)
