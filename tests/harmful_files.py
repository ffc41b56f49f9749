"""Files that mean harm, made here byte by byte, and good ones to compare them with."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, product
from string import ascii_letters, digits

MIB = 1024 * 1024
GIGABYTE = 1000**3
_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="word/document.xml" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
_CONTAINER = (
    '<?xml version="1.0"?><container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
    '<rootfiles><rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_PACKAGE = (
    '<?xml version="1.0"?><package version="3.0" xmlns="http://www.idpf.org/2007/opf" unique-identifier="i">'
    '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">1</dc:identifier><dc:title>Book'
    "</dc:title><dc:language>en</dc:language></metadata><manifest>"
    '<item id="c" href="第一章.xhtml" media-type="application/xhtml+xml"/></manifest>'
    '<spine><itemref idref="c"/></spine></package>'
)
LAUGHS = '<!DOCTYPE x [<!ENTITY a0 "ha">' + "".join(
    f'<!ENTITY a{level + 1} "{f"&a{level};" * 10}">' for level in range(9)
)
LAUGHS += "]>"
XXE = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'


def docx(text: str = "Hello.", prolog: str = "") -> dict[str, bytes]:
    """The entries of a Word document with one paragraph; an entity `&e;` in it stays one."""
    document = (
        f'<?xml version="1.0"?>{prolog}<w:document xmlns:w='
        '"http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        f"<w:t>{text}</w:t></w:r></w:p></w:body></w:document>"
    )
    return _bytes({"[Content_Types].xml": _TYPES, "_rels/.rels": _RELATIONS, "word/document.xml": document})


def epub(text: str = "Hello.", prolog: str = "", package: str = "") -> dict[str, bytes]:
    """The entries of a book with one chapter, whose file has a Chinese name."""
    page = f'<?xml version="1.0"?>{prolog}<html xmlns="http://www.w3.org/1999/xhtml"><body><p>{text}</p></body></html>'
    opf = _PACKAGE.replace("?>", f"?>{package}", 1)
    names = {"mimetype": "application/epub+zip", "META-INF/container.xml": _CONTAINER, "book.opf": opf}
    return _bytes({**names, "第一章.xhtml": page})


def odt(text: str = "Hello.") -> dict[str, bytes]:
    """Entries of an OpenDocument text with one paragraph, but its styles."""
    content = (
        '<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
        f"<text:p>{text}</text:p></office:text></office:body></office:document-content>"
    )
    names = {"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content}
    return _bytes(names)


def fb2(text: str = "Hello.", prolog: str = "") -> bytes:
    """A FictionBook with one section."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0">'
        f"<body><section><p>{text}</p></section></body></FictionBook>"
    ).encode()


def _bytes(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in texts.items()}


@dataclass
class Row:
    """One entry as it is written, with lies where a field is set that its content would not give."""

    name: str
    content: bytes = b""
    packed: bytes | None = None
    size: int | None = None
    claims: int | None = None
    flags: int = 0
    method: int = 8
    mode: int = 0
    crc: int | None = None


def archive(rows: Mapping[str, bytes] | list[Row], *, count: int | None = None, comment: bytes = b"") -> bytes:
    """An archive of `rows`; `count` is how many entries it says it has."""
    listed = rows if isinstance(rows, list) else [Row(name, content) for name, content in rows.items()]
    file, directory = io.BytesIO(), io.BytesIO()
    for row in listed:
        name = row.name.encode()
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = row.packed
        if packed is None:
            packed = deflate.compress(row.content) + deflate.flush() if row.method == 8 else row.content
        size = len(row.content) if row.size is None else row.size
        claims = len(packed) if row.claims is None else row.claims
        crc = zlib.crc32(row.content) if row.crc is None else row.crc
        fields = (row.flags, row.method, 0, 0x21, crc, claims, size, len(name), 0)
        offset = file.tell()
        file.write(struct.pack("<4sHHHHHLLLHH", b"PK\x03\x04", 20, *fields) + name + packed)
        more = (0, 0, 0, row.mode << 16, offset)
        directory.write(struct.pack("<4sHHHHHHLLLHHHHHLL", b"PK\x01\x02", 0x314, 20, *fields, *more) + name)
    return (
        file.getvalue()
        + directory.getvalue()
        + _end(len(listed) if count is None else count, len(directory.getvalue()), file.tell(), comment)
    )


def _end(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, count, count, size, offset, len(comment)) + comment


def zeros(size: int) -> bytes:
    """So many NULs, deflated: a block of them, again and again, so that making it costs nothing."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return block * (size // MIB) + deflate.flush()


def flat_bomb() -> bytes:
    """A Word document whose text is ten gigabytes, and says so as far as its fields reach."""
    rows = [Row(name, content) for name, content in docx().items() if name != "word/document.xml"]
    return archive([*rows, Row("word/document.xml", packed=zeros(10 * GIGABYTE), size=0xFFFFFFFF, crc=0)])


def lying_bomb(size: int = 10 * GIGABYTE) -> bytes:
    """The same, but it says that it has a thousand bytes."""
    rows = [Row(name, content) for name, content in docx().items() if name != "word/document.xml"]
    return archive([*rows, Row("word/document.xml", packed=zeros(size), size=1000, crc=0)])


def nested_bomb() -> bytes:
    """Archives of archives, sixteen of each in each, as 42.zip has them; at the bottom four gigabytes."""
    inner = archive([Row("0.dll", packed=zeros(4 * GIGABYTE), size=4 * GIGABYTE, crc=0)])
    for _ in range(3):
        inner = archive([Row(f"lib {number}.zip", inner) for number in range(16)])
    return archive({**epub(), "lib.zip": inner})


def hidden_bomb() -> bytes:
    """An archive within a book that does not look like one by its name."""
    inner = archive({"0.dll": bytes(1000)})
    return archive([*(Row(name, content) for name, content in epub().items()), Row("chapter.xhtml", inner, method=0)])


def million_entries() -> bytes:
    """A million entries that are all the same few bytes, in an archive that says it has a few thousand."""
    base = archive(epub())
    signs = ascii_letters + digits
    row = struct.pack("<4sHHHHHHLLLHHHHHLL", b"PK\x01\x02", 20, 20, 0, 8, 0, 0x21, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    directory = b"".join(row + "".join(name).encode() for name in islice(product(signs, repeat=4), 1_000_000))
    return base + directory + _end(4000, len(directory), len(base))


def with_zipfile(entries: Mapping[str, bytes]) -> bytes:
    """An archive as Python writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return file.getvalue()
