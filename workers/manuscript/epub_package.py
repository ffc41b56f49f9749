"""What an EPUB's package document and navigation say: title, author, language, cover, texts in order, entries."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from app.core.manuscripts.text import scrubbed
from app.core.projects.text_lengths import MAX_TITLE

_NCX_TYPE = "application/x-dtbncx+xml"
_MAX_ENTRIES = 20_000
_DEEPEST = 12  # of entries within entries
Known = Callable[[str], str]
"""How the archive spells a path; empty where it has no such file."""


class Item(NamedTuple):
    """A file as the package document lists it."""

    path: str
    type: str
    properties: frozenset[str]


@dataclass
class Package:
    """What the package document says; paths are those of the archive.

    `spine`: the texts in the order in which they are read; `aside`: those of them that are not read in turn; `guides`:
    by path, what EPUB 2 calls a text.
    """

    title: str = ""
    author: str = ""
    language: str = ""
    spine: list[str] = field(default_factory=list)
    aside: set[str] = field(default_factory=set)
    nav: str = ""
    ncx: str = ""
    cover: str = ""
    guides: dict[str, str] = field(default_factory=dict)


@dataclass
class Entry:
    """An entry of the navigation: its title, the file and the place in it, and the entries within it."""

    title: str = ""
    path: str = ""
    place: str = ""
    entries: list[Entry] = field(default_factory=list)


def package_path(container: Element) -> str:
    """Where `META-INF/container.xml` says that the package document is; empty where it does not."""
    return next((root.get("full-path", "") for root in _named(container, "rootfile")), "")


def read_package(root: Element, path: str, known: Known) -> Package:
    """The package document that stands at `path`."""
    folder = posixpath.dirname(path)
    items = {
        item.get("id", ""): Item(
            known(joined(folder, item.get("href", ""))[0]),
            item.get("media-type", ""),
            frozenset(item.get("properties", "").split()),
        )
        for item in _named(root, "item")
    }
    found = Package(
        title=_said(root, "title"),
        author=", ".join(dict.fromkeys(filter(None, (_text(one) for one in _named(root, "creator")))))[:MAX_TITLE],
        language=_said(root, "language"),
    )
    for reference in _named(root, "itemref"):
        item = items.get(reference.get("idref", ""))
        if item and item.path and item.path not in found.spine:
            found.spine.append(item.path)
            if reference.get("linear") == "no":
                found.aside.add(item.path)
    named = next((meta.get("content", "") for meta in _named(root, "meta") if meta.get("name") == "cover"), "")
    ncx = next((spine.get("toc", "") for spine in _named(root, "spine")), "")
    found.nav = _first(items, lambda item: "nav" in item.properties)
    found.ncx = items[ncx].path if ncx in items else _first(items, lambda item: item.type == _NCX_TYPE)
    found.cover = _first(items, lambda item: "cover-image" in item.properties)
    if not found.cover and named in items and items[named].type.startswith("image/"):
        found.cover = items[named].path
    for reference in _named(root, "reference"):
        found.guides[known(joined(folder, reference.get("href", ""))[0])] = reference.get("type", "").lower()
    return found


def joined(folder: str, href: str) -> tuple[str, str]:
    """The path within the archive and the place that `href`, of a file in `folder`, points to."""
    path, _, place = href.partition("#")
    path = unquote(path)
    return (posixpath.normpath(posixpath.join(folder, path)) if path else ""), unquote(place)


def read_navigation(text: str, path: str, known: Known) -> list[Entry]:
    """The entries of a nav document (EPUB 3) or of an NCX (EPUB 2) that stands at `path`."""
    reader = _Navigation(path, known)
    reader.feed(text)
    reader.close()
    return reader.entries


class _Navigation(HTMLParser):
    """Both kinds are lists of lists: `li` and `a` in a `nav`, `navPoint` and `content` in a `navMap`."""

    def __init__(self, path: str, known: Known) -> None:
        super().__init__(convert_charrefs=True)
        self.entries: list[Entry] = []
        self._folder = posixpath.dirname(path)
        self._path = path
        self._known = known
        self._lists: list[list[Entry]] = []
        self._within = False
        self._label = False
        self._count = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "navmap" or (tag == "nav" and not self.entries and _is_contents(given)):
            self._within = True
        elif not self._within:
            return
        elif tag in {"li", "navpoint"}:
            self._begin()
        elif tag in {"a", "span", "text"} and self._lists:
            self._label = not self._current.title
            if given.get("href"):
                self._point(given["href"])
        elif tag == "content" and self._lists:
            self._point(given.get("src", ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in {"nav", "navmap"}:
            self._within, self._lists = False, []
        elif tag in {"li", "navpoint"} and self._lists:
            self._lists.pop()
        elif tag in {"a", "text"}:
            self._label = False

    def handle_data(self, data: str) -> None:
        if self._label and self._within and self._lists:
            entry = self._current
            entry.title = " ".join((entry.title + scrubbed(data)).split())[:MAX_TITLE]

    def parse_html_declaration(self, i: int) -> int:
        return self.parse_comment(i) if self.rawdata.startswith("<!--", i) else self.parse_bogus_comment(i)

    @property
    def _current(self) -> Entry:
        above = self._lists[-1]
        return above[-1]

    def _begin(self) -> None:
        self._label = False
        self._count += 1
        if self._count > _MAX_ENTRIES or len(self._lists) > _DEEPEST:
            self._within = False
            return
        above = self._current.entries if self._lists else self.entries
        above.append(Entry())
        self._lists.append(above)

    def _point(self, href: str) -> None:
        path, place = joined(self._folder, href)
        self._current.path = self._known(path) if path else self._path
        self._current.place = place


def _is_contents(given: dict[str, str]) -> bool:
    types = f"{given.get('epub:type', '')} {given.get('role', '')}".split()
    return not types or "toc" in types or "doc-toc" in types


def _first(items: dict[str, Item], is_it: Callable[[Item], bool]) -> str:
    return next((item.path for item in items.values() if item.path and is_it(item)), "")


def _said(root: Element, name: str) -> str:
    return next(filter(None, (_text(one) for one in _named(root, name))), "")[:MAX_TITLE]


def _text(element: Element) -> str:
    return " ".join(scrubbed("".join(element.itertext())).split())


def _named(root: Element, name: str) -> Iterator[Element]:
    """The elements called `name`, in whatever namespace: books are not particular about theirs."""
    return (element for element in root.iter() if str(element.tag).rpartition("}")[2] == name)
