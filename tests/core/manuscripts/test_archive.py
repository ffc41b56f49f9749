"""Archives are inspected in bounded memory, whatever they claim, and refused for each thing that is wrong."""

from __future__ import annotations

import io
import resource
import zlib

import pytest

from app.core.errors import Problem
from app.core.manuscripts.archive import ArchiveEntry, Bounds, inflate, inspect
from tests import harmful_files
from tests.harmful_files import MIB, Row, archive, docx, epub, odt

BOUNDS = Bounds(entries=100, inflated=MIB)


def listed(content: bytes, format: str = "epub", bounds: Bounds = BOUNDS) -> list[ArchiveEntry]:
    return inspect(io.BytesIO(content), format, bounds)


def read(content: bytes, format: str, bounds: Bounds = BOUNDS) -> int:
    """How many bytes come out of an archive."""
    return sum(len(piece) for entry in listed(content, format, bounds) for piece in inflate(io.BytesIO(content), entry))


def refused(content: bytes, format: str = "epub", bounds: Bounds = BOUNDS) -> tuple[int, str]:
    """Status and code of the refusal, by the directory or by the content."""
    with pytest.raises(Problem) as caught:
        read(content, format, bounds)
    return caught.value.status, caught.value.code


def and_(*rows: Row) -> bytes:
    """A good book with something else in it."""
    return archive([*(Row(name, content) for name, content in epub().items()), *rows])


@pytest.mark.parametrize("make", [archive, harmful_files.with_zipfile])
@pytest.mark.parametrize(("format", "entries"), [("epub", epub()), ("docx", docx()), ("odt", odt())])
def test_good_archive_gives_its_entries_and_their_content(make, format, entries) -> None:  # type: ignore[no-untyped-def] # parametrized
    content = make(entries)
    found = listed(content, format)
    assert {entry.name: b"".join(inflate(io.BytesIO(content), entry)) for entry in found} == entries


def test_name_in_utf8_that_does_not_say_so_is_read() -> None:
    assert "第一章.xhtml" in {entry.name for entry in listed(archive(epub()))}


def test_comment_at_the_end_does_no_harm() -> None:
    assert listed(archive(epub(), comment=b"by somebody"))


@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/etc/passwd", "C:evil", "\\evil", "a\\..\\evil", "..", "a\nb"]
)
def test_name_that_leads_out_is_refused(name: str) -> None:
    assert refused(and_(Row(name, b"x"))) == (422, "unsafe_name")


@pytest.mark.parametrize("name", ["a..b", "...", "a/..b", "第一章/图.xhtml", "a b"])
def test_odd_name_is_allowed(name: str) -> None:
    assert listed(and_(Row(name, b"x")))


@pytest.mark.parametrize("mode", [0o120777, 0o010644, 0o060644, 0o140644], ids=["link", "pipe", "device", "socket"])
def test_link_or_device_is_refused(mode: int) -> None:
    assert refused(and_(Row("link", b"/etc/passwd", mode=mode))) == (422, "unsafe_name")


@pytest.mark.parametrize("flags", [1, 0x40, 0x2000])
def test_encrypted_entry_is_refused(flags: int) -> None:
    assert refused(and_(Row("a", b"x", flags=flags))) == (422, "encrypted")


@pytest.mark.parametrize("name", ["META-INF/rights.xml", "META-INF/license.lcpl"])
def test_book_with_a_lock_is_refused(name: str) -> None:
    assert refused(and_(Row(name, b"<x/>"))) == (422, "encrypted")


@pytest.mark.parametrize("name", ["lib.zip", "a/b.EPUB", "x.jar", "x.7z"])
def test_archive_within_is_refused(name: str) -> None:
    assert refused(and_(Row(name, b"x"))) == (422, "nested_archive")


def test_file_that_is_embedded_in_a_document_is_allowed() -> None:
    rows = [*(Row(name, content) for name, content in docx().items()), Row("word/embeddings/Sheet1.xlsx", b"PK\3\4")]
    assert listed(archive(rows), "docx")


def test_too_many_entries_are_refused() -> None:
    rows = [Row(f"{number}") for number in range(96)]
    assert len(listed(and_(*rows))) == 100
    assert refused(and_(*rows, Row("one more"))) == (413, "too_many_entries")
    assert refused(archive(epub(), count=101)) == (413, "too_many_entries")


def test_entries_that_are_larger_than_allowed_together_are_refused() -> None:
    half = bytes(range(256)) * 2048
    assert refused(and_(Row("a", half), Row("b", half))) == (413, "inflated_too_large")


def test_entry_of_next_to_nothing_is_refused() -> None:
    content = and_(Row("a", packed=harmful_files.zeros(2 * MIB), size=2 * MIB, crc=zlib.crc32(bytes(2 * MIB))))
    assert refused(content, bounds=Bounds(100, 100 * MIB)) == (413, "inflated_too_large")


@pytest.mark.parametrize("size", [5, 1000])
def test_entry_that_lies_about_its_size_is_refused(size: int) -> None:
    assert refused(and_(Row("a", b"a hundred" * 10, size=size))) == (422, "bad_archive")


def test_stored_entry_that_lies_about_its_size_is_refused() -> None:
    assert refused(and_(Row("a", b"x" * 100, size=5, method=0))) == (422, "bad_archive")


@pytest.mark.parametrize(
    "row",
    [
        Row("a", b"text", crc=1),
        Row("a", b"text", packed=b"\xff\xff\xff"),
        Row("a", b"text", packed=zlib.compress(b"text")),
        Row("a", b"text" * 100, claims=3),
        Row("a", b"text", claims=100_000),
        Row("a", b"text", method=12),
        Row("book.opf", b"again"),
    ],
    ids=["checksum", "garbage", "another form", "cut off", "beyond the end", "unknown method", "twice"],
)
def test_broken_entry_is_refused(row: Row) -> None:
    assert refused(and_(row)) == (422, "bad_archive")


@pytest.mark.parametrize("count", [0, 3, 5, 99])
def test_number_of_entries_that_is_wrong_is_refused(count: int) -> None:
    assert refused(archive(epub(), count=count)) == (422, "bad_archive")


def test_archive_that_is_cut_off_anywhere_is_refused() -> None:
    content = archive(epub())
    for size in range(0, len(content), 7):
        assert refused(content[:size]) == (422, "bad_archive")


def test_archive_of_something_else_is_refused() -> None:
    assert refused(archive(docx()), "epub") == (415, "wrong_magic")
    assert refused(archive({"a.txt": b"x"}), "docx") == (415, "wrong_magic")


def test_million_entries_are_refused_in_little_memory() -> None:
    content = harmful_files.million_entries()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(content, bounds=Bounds(10_000, 200 * MIB)) == (413, "too_many_entries")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60 * 1024


def test_ten_gigabytes_that_say_they_are_a_thousand_bytes_are_inflated_no_further() -> None:
    content = harmful_files.lying_bomb()
    pieces = (inflate(io.BytesIO(content), entry) for entry in listed(content, "docx") if entry.size == 1000)
    with pytest.raises(Problem) as caught:
        next(next(pieces))
    assert caught.value.code == "bad_archive"
