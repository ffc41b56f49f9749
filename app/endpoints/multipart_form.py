"""Multipart forms (RFC 7578) of one file and a few fields, read within bounds by python-multipart.

A form chooses neither how its text is decoded (UTF-8 or refused) nor what reading it costs:

1. The header `Content-Type` is checked before a byte of the body is read.
2. Parts, their headers, names and fields are counted and bounded as they come; of the file a piece is in memory.
3. Delimiters are counted before the parser sees them: what looks like one and is none costs it a step of Python for
   each byte, many times as much as other content.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile

from app.core.errors import BadRequest
from app.openapi.operation import FORM

MAX_FIELDS = 20
MAX_FIELD_BYTES = 64 * 1024
"""Of all fields together."""
MAX_NAME_BYTES = 100
MAX_PART_HEADERS = 8
MAX_PART_HEAD_BYTES = 8 * 1024
MAX_HEADER_BYTES = 4096 + 128
"""Of one header of a part; a file's name stands in one."""

_MAX_TYPE_BYTES = 512
_MAX_BOUNDARY_BYTES = 70  # RFC 2046, 5.1.1
_SPOOL_BYTES = 1024 * 1024
_PLAIN_ENCODINGS = {b"", b"7bit", b"8bit", b"binary"}


@dataclass
class Form:
    """What a form says: its fields, and its file with the name of the field that it came in."""

    fields: dict[str, str] = field(default_factory=dict)
    file: UploadFile | None = None
    file_field: str = ""

    def close(self) -> None:
        if self.file is not None:
            self.file.file.close()


def boundary_of(headers: Headers) -> bytes:
    """What separates the parts of a form with these headers. Raises BadRequest (`bad_form`)."""
    told = headers.getlist("content-type")
    if len(told) != 1 or len(told[0]) > _MAX_TYPE_BYTES:
        raise _bad("it wants one `Content-Type`, of a reasonable length")
    kind, options = parse_options_header(told[0])
    if kind != FORM.encode():
        raise _bad(f"it is no {FORM}")
    _must_be_utf8(options)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY_BYTES or not boundary.isascii():
        raise _bad(f"it wants a boundary of 1 to {_MAX_BOUNDARY_BYTES} characters of ASCII")
    return boundary


async def parse(headers: Headers, chunks: AsyncIterator[bytes]) -> Form:
    """The form that comes in `chunks`; its file is spooled to disk and has to be closed.

    Raises BadRequest: `bad_form`; `cut_off` where its last delimiter is missing.
    """
    reader = _Reader(boundary_of(headers))
    try:
        async for chunk in chunks:
            await reader.write(chunk)
        return await reader.end()
    except FormParserError as error:
        reader.form.close()
        raise _bad("its parts are malformed") from error
    except BaseException:
        reader.form.close()
        raise


@dataclass
class _Part:
    """A part whose headers or content are being read."""

    head: list[tuple[bytes, bytes]] = field(default_factory=list)
    head_bytes: int = 0
    name: str = ""
    content: bytearray | None = None  # of a field; the file's is written as it comes


class _Reader:
    """Puts a `Form` together from what the parser calls back."""

    def __init__(self, boundary: bytes) -> None:
        self.form = Form()
        self._delimiters = _Delimiters(boundary)
        self._part = _Part()
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._field_bytes = 0
        self._unwritten: list[bytes] = []
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    async def write(self, chunk: bytes) -> None:
        self._delimiters.count(chunk)
        self._parser.write(chunk)
        if self._unwritten and self.form.file is not None:
            await self.form.file.write(b"".join(self._unwritten))
        self._unwritten.clear()

    async def end(self) -> Form:
        self._parser.finalize()
        if not self._ended:
            raise BadRequest("The form was truncated.", code="cut_off")
        if self.form.file is not None:
            await self.form.file.seek(0)
        return self.form

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])
        self._grow_head(end - start)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])
        self._grow_head(end - start)

    def _grow_head(self, size: int) -> None:
        self._part.head_bytes += size
        if self._part.head_bytes > MAX_PART_HEAD_BYTES:
            raise _bad(f"the headers of a part have more than {MAX_PART_HEAD_BYTES} bytes")

    def _on_header_end(self) -> None:
        name, value = self._header
        self._part.head.append((bytes(name).lower(), bytes(value)))
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        head = dict(self._part.head)
        if len(head) != len(self._part.head):
            raise _bad("a part has the same header twice")
        if head.get(b"content-transfer-encoding", b"").strip().lower() not in _PLAIN_ENCODINGS:
            raise _bad("a part is encoded once more (`Content-Transfer-Encoding`)")
        kind, options = parse_options_header(head.get(b"content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise _bad("a part is not `form-data` with a `name`")
        self._begin(_text(options[b"name"], MAX_NAME_BYTES), options.get(b"filename"), head)

    def _begin(self, name: str, filename: bytes | None, head: dict[bytes, bytes]) -> None:
        if name in self.form.fields or (self.form.file is not None and name == self.form.file_field):
            raise _bad("it has the same field twice")
        self._part.name = name
        if filename is None:
            # The content of a file is looked at later on, and may be in any encoding.
            _must_be_utf8(parse_options_header(head.get(b"content-type"))[1])
            if len(self.form.fields) == MAX_FIELDS:
                raise _bad(f"it has more than {MAX_FIELDS} fields")
            self._part.content = bytearray()
        elif self.form.file is not None:
            raise _bad("it has more than one file")
        else:
            spool = SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115 # closed with the form
            self.form.file = UploadFile(cast(BinaryIO, spool), filename=_text(filename, MAX_HEADER_BYTES))
            self.form.file_field = name

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.content is None:
            self._unwritten.append(data[start:end])
            return
        self._field_bytes += end - start
        if self._field_bytes > MAX_FIELD_BYTES:
            raise _bad(f"its fields have more than {MAX_FIELD_BYTES // 1024} KiB")
        self._part.content.extend(data[start:end])

    def _on_part_end(self) -> None:
        if self._part.content is not None:
            self.form.fields[self._part.name] = _text(self._part.content, MAX_FIELD_BYTES)

    def _on_end(self) -> None:
        self._ended = True


class _Delimiters:
    """Counts what looks like a delimiter, over the seams of chunks too."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._tail = b""
        self._found = 0

    def count(self, chunk: bytes) -> None:
        """Raises BadRequest (`bad_form`) where there are more than the parts that a form may have."""
        window = self._tail + chunk
        # One at the very end of the former window was counted then.
        self._found += window.count(self._delimiter) - (self._tail == self._delimiter)
        # The parser goes over white space behind a delimiter byte by byte.
        if any(self._delimiter + pad in window for pad in (b" ", b"\t")):
            raise _bad("there is white space behind a boundary")
        if self._found > MAX_FIELDS + 2:
            raise _bad(f"it has more than {MAX_FIELDS + 1} parts")
        self._tail = window[-len(self._delimiter) :]


def _text(encoded: bytes | bytearray, largest: int) -> str:
    if len(encoded) > largest:
        raise _bad(f"a name has more than {largest} bytes")
    try:
        return encoded.decode()
    except UnicodeDecodeError as error:
        raise _bad("it is not in UTF-8") from error


def _must_be_utf8(options: dict[bytes, bytes]) -> None:
    if options.get(b"charset", b"utf-8").lower() not in {b"utf-8", b"utf8", b"us-ascii"}:
        raise _bad("forms are in UTF-8, and no other `charset` is read")


def _bad(why: str) -> BadRequest:
    return BadRequest(f"The form cannot be read: {why}.", code="bad_form")
