"""FictionBook 2 as HTML. Its names are taken without their namespaces, which many files do not declare."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element

from workers.manuscript import xml
from workers.manuscript.html_writer import FRONT_MATTER, Page
from workers.manuscript.office_xml import attribute, broken, child, local

_UNREAD = {"description", "binary", "stylesheet"}


def read(path: Path) -> str:
    """The document in the file `path`, in UTF-8, as HTML.

    Raises JobError (`conversion_failed`), Unprocessable (`unsafe_xml`).
    """
    try:
        root = xml.parse(path.read_bytes(), namespaces=False)
    except xml.MalformedXML as error:
        raise broken("FictionBook") from error
    reader = _Reader()
    reader.say(child(child(root, "description"), "title-info"))
    reader.read(root)
    return reader.page.html()


class _Reader:
    def __init__(self) -> None:
        self.page = Page()
        self._depth = 0
        self._in_poem = False
        self._treatments: dict[str, Callable[[Element], None]] = {
            "body": self._body,
            "section": self._section,
            "title": self._title,
            "p": self._paragraph,
            "subtitle": self._paragraph,
            "text-author": self._paragraph,
            "date": self._paragraph,
            "poem": self._poem,
            "stanza": self._stanza,
            "table": lambda one: self._within("table", one),
            "tr": lambda one: self._within("tr", one),
            "td": lambda one: self._within("td", one),
            "th": lambda one: self._within("td", one),
            "sup": lambda one: self._within("sup", one),
            "a": self._link,
            "image": lambda one: self.page.picture(attribute(one, "alt")),
        } | dict.fromkeys(_UNREAD, lambda _: None)

    def say(self, info: Element | None) -> None:
        """What the book says of itself: its title and its authors."""
        title = child(info, "book-title")
        names = [
            " ".join(word for part in author if local(part) in _NAME for word in (part.text or "").split())
            for author in (info if info is not None else [])
            if local(author) == "author"
        ]
        for style, text in (("title", title.text or "" if title is not None else ""), ("author", ", ".join(names))):
            if text.strip():
                with self.page.paragraph(0, style):
                    self.page.text(" ".join(text.split()))

    def read(self, parent: Element) -> None:
        """The children of an element, with the text that stands between them."""
        for one in parent:
            treatment = self._treatments.get(local(one))
            if treatment is not None:
                treatment(one)
            else:
                self.page.text(one.text or "")
                self.read(one)
            self.page.text(one.tail or "")

    def _within(self, tag: str, element: Element) -> None:
        with self.page.within(tag):
            self.page.text(element.text or "")
            self.read(element)

    def _body(self, element: Element) -> None:
        """Any body but the first has a name, and is notes."""
        if attribute(element, "name"):
            self._within('section role="doc-endnotes"', element)
        else:
            self.read(element)

    def _section(self, element: Element) -> None:
        self._depth += 1
        self.read(element)
        self._depth -= 1

    def _title(self, element: Element) -> None:
        """Of a section its heading; of the whole body, its title page; of anything else, a line of text."""
        if not self._depth:
            self._within(FRONT_MATTER, element)
            return
        with self.page.paragraph(0 if self._in_poem else self._depth):
            self._lines(element)

    def _lines(self, element: Element) -> None:
        first = True
        for one in element:
            if not first:
                self.page.line_break()
            first = False
            self.page.text(one.text or "")
            self.read(one)

    def _paragraph(self, element: Element) -> None:
        with self.page.paragraph():
            self.page.text(element.text or "")
            self.read(element)

    def _poem(self, element: Element) -> None:
        self._in_poem = True
        self.read(element)
        self._in_poem = False

    def _stanza(self, element: Element) -> None:
        with self.page.paragraph():
            self._lines(element)

    def _link(self, element: Element) -> None:
        self._within('a role="doc-noteref"' if attribute(element, "type") == "note" else "span", element)


_NAME = ("first-name", "middle-name", "last-name", "nickname")
