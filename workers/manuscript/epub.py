"""EPUB 2 and 3: the package document names the texts in their order, the navigation names the chapters.

1. Chapters begin where an entry of the navigation points, be it a file or a place within one.
2. An entry's own entries begin chapters as well where it is a volume ("Part One", 第一卷) or the only entry, or where
   they are in files of their own and it is not called a chapter; else they are sections of its chapter.
3. A heading that says the same as its chapter's title is taken for it, and not spoken twice.
4. Without a navigation the headings count, as in any document; without those each file is a chapter.

Read from the copy that `workers.manuscript.archive` made: its sizes are true and its names are safe.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.core.errors import JobError
from workers.manuscript import marked_chapters, markup, plain_chapters, xml
from workers.manuscript.blocks import Block, Document, leave_out
from workers.manuscript.encoding import text_of_markup
from workers.manuscript.epub_package import Entry, Package, package_path, read_navigation, read_package
from workers.manuscript.headings import is_contents, is_volume, ordinal
from workers.manuscript.marked_chapters import key
from workers.manuscript.model import Manuscript, visible
from workers.manuscript.plain_chapters import Section

_CONTAINER = "META-INF/container.xml"
_GUIDES = {"cover": "frontMatter", "title-page": "frontMatter", "copyright-page": "frontMatter", "toc": "contents"}
_FRONT_TITLES = re.compile(
    r"(?:cover(?: page)?|(?:half[- ]?)?title ?page|copyright(?: page| notice)?|imprint|colophon"
    r"|封面|扉页|扉頁|书名页|書名頁|版权(?:页|信息)?|版權(?:頁|信息)?)",
    re.IGNORECASE,
)
_CHAPTER_UNITS = {"chapter", "章", "回", "节", "節", "话", "話"}
_HEADING_BLOCKS = 4  # that a chapter's title is spread over, at most


class Start(NamedTuple):
    """A chapter begins with block number `at`."""

    at: int
    title: str


class File(NamedTuple):
    """One of the book's texts: where it begins, and what it is called."""

    at: int
    title: str


def read(archive: zipfile.ZipFile, title: str) -> tuple[Manuscript, str]:
    """The manuscript in an EPUB, and the path of its cover's picture, empty where it has none.

    `title` is for a book that does not tell its own.

    Raises JobError (`conversion_failed`), Unprocessable (`unsafe_xml`).
    """
    book = _Book(archive)
    return book.manuscript(title), book.package.cover


class _Book:
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {name.casefold(): name for name in archive.namelist()}
        path = package_path(self._xml(_CONTAINER))
        self.package: Package = read_package(self._xml(path), path, self._known)

    def manuscript(self, title: str) -> Manuscript:
        entries = self._entries()
        wanted = [(entry.path, entry.place) for entry in _all(entries)]
        document, files = self._texts(wanted)
        starts = _starts(entries, files, document.anchors)
        if starts:
            return _by_navigation(document, starts, document.title or title)
        if any(block.level for block in document.blocks) or len(files) < 2:
            return marked_chapters.manuscript(document, title)
        return _by_files(document, list(files.values()), document.title or title)

    def _texts(self, wanted: list[tuple[str, str]]) -> tuple[Document, dict[str, File]]:
        """All texts as one document, whose anchors are called `path#place`, and where in it each file begins."""
        package, files = self.package, dict[str, File]()
        whole = Document(title=package.title, author=package.author, language=package.language)
        told = {path for path, _ in wanted}
        for path in package.spine:
            part = markup.read(self._text(path), {place for file, place in wanted if file == path and place})
            begin = len(whole.blocks)
            whole.tally.characters_in += part.tally.characters_in
            whole.tally.left_out += part.tally.left_out
            whole.tally.added += part.tally.added
            if reason := self._reason(path, told):
                leave_out(part.blocks, reason, whole.tally)
                continue
            files[path] = File(begin, part.title)
            whole.blocks += part.blocks
            whole.language = whole.language or part.language
            whole.anchors |= {f"{path}#{place}": begin + at for place, at in part.anchors.items()}
        return whole, files

    def _reason(self, path: str, told: set[str]) -> str | None:
        """Why a whole file is not read aloud; None where it is."""
        if path == self.package.nav:
            return "contents"
        if path in self.package.aside and path not in told:
            return "notes"
        return _GUIDES.get(self.package.guides.get(path, ""))

    def _entries(self) -> list[Entry]:
        """The nav's entries, else the NCX's; a navigation that cannot be read is as good as none."""
        for path in filter(None, (self.package.nav, self.package.ncx)):
            if entries := read_navigation(self._text(path), path, self._known):
                return entries
        return []

    def _known(self, path: str) -> str:
        return self._names.get(path.casefold(), "")

    def _xml(self, path: str) -> Element:
        try:
            return xml.parse(self._bytes(path))
        except xml.MalformedXML as error:
            raise _broken(f"{path!r} is not well-formed") from error

    def _text(self, path: str) -> str:
        return text_of_markup(self._bytes(path))

    def _bytes(self, path: str) -> bytes:
        if not self._known(path):
            raise _broken(f"it lacks {path!r}" if path else "it names no package document")
        return self._archive.read(self._known(path))


def _all(entries: list[Entry]) -> Iterator[Entry]:
    for entry in entries:
        yield entry
        yield from _all(entry.entries)


def _chapters(entries: list[Entry]) -> Iterator[Entry]:
    """The entries that begin chapters (rule 2), outermost first."""
    for entry in entries:
        yield entry
        counted = ordinal(entry.title)
        is_chapter = counted is not None and counted.unit in _CHAPTER_UNITS
        apart = any(inner.path not in ("", entry.path) for inner in entry.entries)
        if len(entries) == 1 or is_volume(entry.title) or (apart and not is_chapter):
            yield from _chapters(entry.entries)


def _starts(entries: list[Entry], files: dict[str, File], anchors: dict[str, int]) -> list[Start]:
    found = []
    for entry in _chapters(entries):
        # A part that points nowhere begins with the first of its entries that does.
        for one in (entry, *_all(entry.entries)):
            if one.path in files:
                found.append(Start(anchors.get(f"{one.path}#{one.place}", files[one.path].at), entry.title))
                break
    return sorted(found, key=lambda start: start.at)


def _by_navigation(document: Document, starts: list[Start], title: str) -> Manuscript:
    blocks, tally = document.blocks, document.tally
    front = marked_chapters.without_title(blocks[: starts[0].at], title, document.author, tally)
    sections = [Section(None, _lines(front))]
    ends = [*(start.at for start in starts[1:]), len(blocks)]
    for start, end in zip(starts, ends, strict=True):
        text = blocks[start.at : end]
        if _FRONT_TITLES.fullmatch(start.title):
            leave_out(text, "frontMatter", tally)
        elif is_contents(start.title):
            leave_out(text, "contents", tally)
        else:
            sections.append(_section(start.title, text))
    found = plain_chapters.from_sections(sections, title, tally)
    return Manuscript(title, found, document.author, document.language, tally)


def _by_files(document: Document, files: list[File], title: str) -> Manuscript:
    called = [file.title for file in files]
    sections = [Section(None)]
    ends = [*(file.at for file in files[1:]), len(document.blocks)]
    for number, (file, end) in enumerate(zip(files, ends, strict=True), start=1):
        text = document.blocks[file.at : end]
        own = file.title if called.count(file.title) == 1 and key(file.title) != key(title) else ""
        section = _section(own or f"{title} ({number})", text)
        section.confidence = "low"
        sections.append(section)
    found = plain_chapters.from_sections(sections, title, document.tally)
    return Manuscript(title, found, document.author, document.language, document.tally)


def _section(title: str, blocks: list[Block]) -> Section:
    """The chapter that begins with `blocks`, without the heading that says the same as `title`."""
    title = title or next((block.text for block in blocks if block.level), "")
    taken = _heading(title, blocks)
    heading = blocks[:taken]
    if taken == 1 and len(key(heading[0].text)) > len(key(title)):
        title = heading[0].text
    return Section(title, _lines(blocks[taken:]), heading=sum(visible(block.text) for block in heading))


def _heading(title: str, blocks: list[Block]) -> int:
    """How many of the first blocks are the heading that `title` is of (rule 3)."""
    wanted, found = key(title), ""
    for number, block in enumerate(blocks[:_HEADING_BLOCKS], start=1):
        found += key(block.text)
        if found == wanted:
            return number
        if not wanted.startswith(found):
            break
    return 1 if blocks and blocks[0].level and wanted and wanted in key(blocks[0].text) else 0


def _lines(blocks: list[Block]) -> list[str]:
    return [line for block in blocks for line in (block.text, "")]


def _broken(why: str) -> JobError:
    return JobError("conversion_failed", f"The file could not be converted: {why}.")
