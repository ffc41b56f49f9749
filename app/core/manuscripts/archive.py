"""Zip archives (epub, docx, odt) looked at from outside, before any program reads them.

The standard library's zipfile makes a kilobyte of objects of each 46 bytes that an archive claims to be an entry, and
believes what entries say of their sizes. So the directory is read here (PKWARE's APPNOTE.TXT, 4.3.6 to 4.3.16): bounded
before it is taken apart, and entries are inflated in pieces and held to what they said. Nothing is ever written by an
entry's name.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from app.core.errors import Problem, TooLarge, Unprocessable, UnsupportedMedia

NEEDED = {"epub": "META-INF/container.xml", "docx": "[Content_Types].xml", "odt": "content.xml"}
"""By format, the entry without which it is none of that format."""

_END = struct.Struct("<4sHHHHLLH")
_MAX_COMMENT = 0xFFFF
_ROW = struct.Struct("<4sHHHHHHLLLHHHHHLL")
_LOCAL = struct.Struct("<4sHHHHHLLLHH")
_MAX_ROW = 1024  # bytes for an entry of the directory, on average
_CHUNK = 64 * 1024
_STORED, _DEFLATED = 0, 8
_SECRET = 0x2041  # the bits of encryption: plain, strong, of the directory
_KINDS = {0, 0x4000, 0x8000}  # of a file as Unix knows them: none told, folder, regular
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]|^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)")
_LOCKS = {"META-INF/rights.xml", "META-INF/license.lcpl", "META-INF/sinf.xml"}
_ARCHIVE = re.compile(r"\.(?:zip|jar|epub|docx|odt|xlsx|pptx|ods|7z|rar|gz|tgz|bz2|xz|zst)$", re.IGNORECASE)
# Word keeps the files that are embedded in a document, archives most of them, here; nobody opens them.
_EMBEDDED = "word/embeddings/"
# Deflate can do 1032; text that people write stays below 30, and the emptiest tables of a word processor below 200.
_MAX_RATIO = 250
_RATIO_COUNTS_FROM = 1024 * 1024


class Bounds(NamedTuple):
    """How many entries an archive may have, and how many bytes they may be when inflated."""

    entries: int
    inflated: int


class ArchiveEntry(NamedTuple):
    """What the directory says of one entry; `packed` and `size` in bytes, `mode` as Unix has it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    mode: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def is_embedded(self) -> bool:
        return self.name.startswith(_EMBEDDED)


def inspect(file: BinaryIO, format: str, bounds: Bounds) -> list[ArchiveEntry]:
    """The entries of an archive that may be read as `format` (a key of `NEEDED`), by what its directory says.

    Raises TooLarge (`too_many_entries`, `inflated_too_large`), Unprocessable (`bad_archive`, `encrypted`,
    `unsafe_name`, `nested_archive`), UnsupportedMedia (`wrong_magic`).
    """
    entries = _directory(file, bounds.entries)
    names = {entry.name for entry in entries}
    for entry in entries:
        _check(entry)
    if len(names) != len(entries) or sum(entry.packed for entry in entries) > file.seek(0, os.SEEK_END):
        raise broken("entries stand for one another")
    if names & _LOCKS:
        raise _encrypted()
    if sum(entry.size for entry in entries) > bounds.inflated:
        raise too_large(bounds.inflated)
    if NEEDED[format] not in names:
        raise UnsupportedMedia(f"The file is an archive, but no {format}.", code="wrong_magic")
    return entries


def inflate(file: BinaryIO, entry: ArchiveEntry) -> Iterator[bytes]:
    """The content of an entry, in pieces of at most 64 KiB. Raises Unprocessable (`bad_archive`) where it is not what
    the directory says, as soon as it is more."""
    _seek_content(file, entry)
    size, crc = 0, 0
    for piece in _unpacked(file, entry):
        size += len(piece)
        crc = zlib.crc32(piece, crc)
        if size > entry.size:
            raise broken(f"{entry.name!r} is larger than it says")
        yield piece
    if size != entry.size or crc != entry.crc:
        raise broken(f"{entry.name!r} is not what it says")


def broken(why: str) -> Unprocessable:
    return Unprocessable(f"The archive is broken: {why}.", code="bad_archive")


def nested() -> Unprocessable:
    return Unprocessable("There is another archive within the file.", code="nested_archive")


def too_large(largest: int) -> TooLarge:
    return TooLarge(
        f"The file holds more than the {largest // 1024} KiB that are allowed.",
        code="inflated_too_large",
        limit=largest,
    )


def _directory(file: BinaryIO, most: int) -> list[ArchiveEntry]:
    count, size, offset = _end(file)
    # What the archive says of itself is believed only where it speaks against it.
    if count > most or size > most * _MAX_ROW:
        raise _too_many(most)
    file.seek(offset)
    rows = file.read(size)
    entries: list[ArchiveEntry] = []
    at = 0
    while at < len(rows):
        if len(entries) == most:
            raise _too_many(most)
        entry, at = _entry(rows, at)
        entries.append(entry)
    if len(rows) != size or len(entries) != count:
        raise broken("its directory is not as long as it says")
    return entries


def _end(file: BinaryIO) -> tuple[int, int, int]:
    """Number of entries, size and place of the directory, as the record at the archive's end says."""
    whole = file.seek(0, os.SEEK_END)
    start = max(0, whole - _END.size - _MAX_COMMENT)
    file.seek(start)
    tail = file.read(whole - start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise broken("it has no end")
    _, disk, first, here, count, size, offset, _ = _END.unpack_from(tail, at)
    if disk or first or here != count or offset + size > start + at:
        raise broken("its end is not that of an archive")
    return count, size, offset


def _entry(rows: bytes, at: int) -> tuple[ArchiveEntry, int]:
    """The entry at `at`, and where the next one begins."""
    if at + _ROW.size > len(rows):
        raise broken("its directory is cut off")
    row = _ROW.unpack_from(rows, at)
    flags, method, crc, packed, size, name, extra, comment = *row[3:5], *row[7:13]
    end = at + _ROW.size + name + extra + comment
    if row[0] != b"PK\x01\x02" or end > len(rows):
        raise broken("its directory is no directory")
    spelled = rows[at + _ROW.size : at + _ROW.size + name]
    # Many write UTF-8 and do not say so. The code page of the first PCs, the other choice, knows every byte.
    try:
        text = spelled.decode("utf-8")
    except UnicodeDecodeError:
        text = spelled.decode("cp437")
    return ArchiveEntry(text, flags, method, crc, packed, size, row[15] >> 16, row[16]), end


def _check(entry: ArchiveEntry) -> None:
    if entry.flags & _SECRET:
        raise _encrypted()
    if not entry.name or _UNSAFE.search(entry.name) or entry.mode & 0xF000 not in _KINDS:
        raise Unprocessable("The archive has an entry whose name leads out of it.", code="unsafe_name")
    if entry.method not in (_STORED, _DEFLATED) or (entry.method == _STORED and entry.packed != entry.size):
        raise broken(f"{entry.name!r} is packed in a way that no book is")
    if _ARCHIVE.search(entry.name) and not entry.is_embedded:
        raise nested()
    if entry.size > _RATIO_COUNTS_FROM and entry.size > entry.packed * _MAX_RATIO:
        raise TooLarge("The file is nearly empty, and inflates without end.", code="inflated_too_large")


def _seek_content(file: BinaryIO, entry: ArchiveEntry) -> None:
    file.seek(entry.offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        raise broken(f"{entry.name!r} is not there")
    signature, _, flags, method, *_, name, extra = _LOCAL.unpack(head)
    if signature != b"PK\x03\x04" or method != entry.method or flags & _SECRET:
        raise broken(f"{entry.name!r} is not where it should be")
    file.seek(name + extra, os.SEEK_CUR)


def _unpacked(file: BinaryIO, entry: ArchiveEntry) -> Iterator[bytes]:
    if entry.method == _STORED:
        yield from _pieces(file, entry.packed)
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in _pieces(file, entry.packed):
            while packed and not inflater.eof:
                yield inflater.decompress(packed, _CHUNK)
                packed = inflater.unconsumed_tail
    except zlib.error as error:
        raise broken(f"{entry.name!r} cannot be inflated") from error
    if not inflater.eof or inflater.unused_data:
        raise broken(f"{entry.name!r} is cut off")


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size and (piece := file.read(min(size, _CHUNK))):
        size -= len(piece)
        yield piece


def _encrypted() -> Problem:
    return Unprocessable("The file is encrypted; take the protection off first.", code="encrypted")


def _too_many(most: int) -> TooLarge:
    return TooLarge(f"The archive has more than {most} entries.", code="too_many_entries", limit=most)
