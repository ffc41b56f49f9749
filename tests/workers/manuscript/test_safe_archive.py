"""What reads an archive is given a copy of it that holds what can be read, and nothing that does harm."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from app.core.errors import JobError, Problem
from app.core.manuscripts.archive import Bounds
from tests import harmful_files
from tests.harmful_files import LAUGHS, MIB, XXE, Row, archive, docx, epub
from workers.manuscript.archive import copy_safely
from workers.manuscript.docx import read as read_docx
from workers.manuscript.epub import read
from workers.manuscript.safe_copy import copy_for_reading

BOUNDS = Bounds(entries=100, inflated=10 * MIB)


def copied(tmp_path: Path, content: bytes, format: str, bounds: Bounds = BOUNDS) -> dict[str, bytes]:
    """The entries of the copy, by name."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(content)
    copy_safely(source, target, format, bounds)
    with zipfile.ZipFile(target) as copy:
        assert copy.testzip() is None
        return {name: copy.read(name) for name in copy.namelist()}


def test_what_can_be_read_is_copied_and_what_cannot_is_empty(tmp_path: Path) -> None:
    more = {"word/media/image1.png": b"\x89PNG", "word/embeddings/a.xlsx": b"PK\3\4", "word/fonts/a.TTF": b"x"}
    found = copied(tmp_path, archive({**docx(), **more, "word/": b""}), "docx")
    assert found == {**docx(), **dict.fromkeys(more, b"")}


def test_document_is_read_from_the_copy(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(archive(docx("你好。")))
    copy_safely(source, target, "docx", BOUNDS)
    with zipfile.ZipFile(target) as copy:
        assert "<p>你好。</p>" in read_docx(copy)


def test_book_is_read_from_the_copy(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(archive(epub("你好。")))
    copy_safely(source, target, "epub", BOUNDS)
    with zipfile.ZipFile(target) as copy:
        found, _ = read(copy, "File")
    assert (found.title, [chapter.text for chapter in found.chapters]) == ("Book", ["你好。"])


@pytest.mark.parametrize("prolog", [LAUGHS, XXE], ids=["laughs", "xxe"])
@pytest.mark.parametrize("format", ["docx", "epub", "package"])
def test_entities_are_refused_wherever_they_are_declared(tmp_path: Path, format: str, prolog: str) -> None:
    entries = {"docx": docx("&e;", prolog), "epub": epub("&e;", prolog), "package": epub(package=prolog)}[format]
    with pytest.raises(Problem) as caught:
        copied(tmp_path, archive(entries), "docx" if format == "docx" else "epub")
    assert caught.value.code == "unsafe_xml"


def test_entities_are_refused_in_utf16(tmp_path: Path) -> None:
    document = docx("&e;", LAUGHS)["word/document.xml"].decode().encode("utf-16")
    with pytest.raises(Problem) as caught:
        copied(tmp_path, archive({**docx(), "word/document.xml": document}), "docx")
    assert caught.value.code == "unsafe_xml"


def test_drawing_with_entities_of_its_own_is_no_reason_to_refuse_a_book(tmp_path: Path) -> None:
    assert copied(tmp_path, archive({**epub(), "cover.svg": LAUGHS.encode()}), "epub")["cover.svg"] == b""


def test_archive_is_known_by_its_content(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        copied(tmp_path, harmful_files.hidden_bomb(), "epub")
    assert caught.value.code == "nested_archive"


def test_nothing_is_written_by_an_entrys_name(tmp_path: Path) -> None:
    name = str(tmp_path / "evil")
    for evil in (name, "../evil", "a/../../evil"):
        with pytest.raises(Problem):
            copied(tmp_path, archive({**epub(), evil: b"x"}), "epub")
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}


def test_archive_that_claims_little_and_holds_much_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        copied(tmp_path, harmful_files.lying_bomb(), "docx")
    assert caught.value.code == "bad_archive"
    assert (tmp_path / "target").stat().st_size < MIB


def test_archive_of_nonsense_fails_the_conversion(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(archive({**docx(), "word/document.xml": b"<nonsense"}))
    copy_safely(source, target, "docx", BOUNDS)
    with pytest.raises(JobError) as caught, zipfile.ZipFile(target) as copy:
        read_docx(copy)
    assert caught.value.code == "conversion_failed"
    assert caught.value.message


async def test_problem_of_an_archive_is_told_as_the_jobs(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(archive([Row(name, content, flags=1) for name, content in docx().items()]))
    with pytest.raises(JobError) as caught:
        await copy_for_reading(source, tmp_path / "text", "docx")
    assert caught.value.code == "encrypted"
