"""XML that could declare something is refused by the parser itself, whatever hid it from a look at its beginning."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from app.core.errors import Unprocessable
from tests.harmful_files import LAUGHS, XXE, docx, epub
from workers.manuscript import epub as reader
from workers.manuscript import metadata, xml

ROOT = '<p:package xmlns:p="http://www.idpf.org/2007/opf" p:a="1" b="2">Text<x/> more</p:package>'
DECLARING = [
    LAUGHS,
    XXE,
    "<!DOCTYPE x []>",
    "<!DOCTYPE x [<!ELEMENT x ANY>]>",
    "<!DOCTYPE x [<!ATTLIST x a CDATA 'v'>]>",
    '<!DOCTYPE x SYSTEM "file:///etc/passwd" [ ]>',
    '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1/x">%p;]>',
    "<?a \u3f00\u3e00<x>?>" + LAUGHS,
    " " * 200_000 + LAUGHS,
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("prolog", DECLARING)
def test_declaration_is_refused_in_every_encoding(prolog: str, encoding: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        xml.parse((prolog + ROOT).encode(encoding))
    assert caught.value.code == "unsafe_xml"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("prolog", ["", "<?xml version='1.0'?>", '<!DOCTYPE a PUBLIC "+//ISBN//DTD OEB 1.2" "x.dtd">'])
def test_document_is_read_in_every_encoding(prolog: str, encoding: str) -> None:
    root = xml.parse((prolog + ROOT).encode(encoding))
    assert root.tag == "{http://www.idpf.org/2007/opf}package"
    assert root.attrib == {"{http://www.idpf.org/2007/opf}a": "1", "b": "2"}
    assert "".join(root.itertext()) == "Text more"


@pytest.mark.parametrize(
    "content", [b"", b"Text", b"<x>", b"<x>&undeclared;</x>", b"<x>\xff</x>", b"<x/><y/>", "<x/>".encode("cp037")]
)
def test_what_is_no_xml_is_malformed(content: bytes) -> None:
    with pytest.raises(xml.MalformedXML):
        xml.parse(content)


@pytest.mark.parametrize("encoding", ["gb18030", "iso-8859-1", "windows-1252", "big5"])
def test_declared_encoding_of_a_text_is_read(encoding: str) -> None:
    word = "Wörter" if encoding in {"iso-8859-1", "windows-1252"} else "文字"
    document = f'<?xml version="1.0" encoding="{encoding}"?><x>{word}</x>'.encode(encoding)
    assert xml.parse(document).text == word


def archived(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("name", ["META-INF/container.xml", "package document"])
def test_book_whose_parts_declare_entities_is_refused_when_it_is_read(tmp_path: Path, name: str) -> None:
    entries = epub()
    path = next(entry for entry in entries if entry == name or entry.endswith(".opf"))
    path = name if name in entries else path
    entries[path] = LAUGHS.encode() + entries[path].partition(b"?>")[2]
    with zipfile.ZipFile(archived(tmp_path / "a.epub", entries)) as archive, pytest.raises(Unprocessable):
        reader.read(archive, "Title")


def test_document_whose_description_declares_entities_is_refused_when_it_is_read(tmp_path: Path) -> None:
    core = f"{LAUGHS}<cp:coreProperties xmlns:cp='x'><title>&a9;</title></cp:coreProperties>".encode()
    path = archived(tmp_path / "a.docx", {**docx(), "docProps/core.xml": core})
    with pytest.raises(Unprocessable):
        metadata.said(path, "docx")
