"""A form chooses neither how it is decoded nor what it costs: refused, or read within its bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.datastructures import Headers

from app.core.errors import BadRequest, TooMany
from app.core.redis.rate_limiter import InFlight
from app.core.settings import Settings
from app.endpoints import multipart_form
from app.endpoints.multipart_form import MAX_FIELD_BYTES, MAX_FIELDS, MAX_HEADER_BYTES, MAX_PART_HEAD_BYTES, parse
from tests.conftest import serve, signed_in
from tests.support import Client, until

TYPE = "multipart/form-data; boundary=x"
FILE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nHello.\r\n'
END = b"--x--\r\n"
CODECS = [
    *("punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "latin-1", "idna", "rot13"),
    *("base64", "zlib", "hex", "uu", "bz2", "mbcs", "gb18030", "utf-8-sig", "no-such", '"utf-8;x"', "\xff"),
]


def field(name: str = "title", content: bytes = b"A title", *headers: str) -> bytes:
    head = [f'Content-Disposition: form-data; name="{name}"', *headers]
    return b"--x\r\n" + "\r\n".join([*head, "", ""]).encode("latin-1") + content + b"\r\n"


class Body:
    """A body in chunks, which counts those that were taken."""

    def __init__(self, content: bytes, size: int = 64 * 1024) -> None:
        self._chunks: Iterator[bytes] = (content[at : at + size] for at in range(0, len(content), size))
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk


async def refused(kind: str, content: bytes, code: str = "bad_form") -> int:
    """How many chunks were read before the form was refused."""
    body = Body(content)
    with pytest.raises(BadRequest) as caught:
        await parse(Headers({"Content-Type": kind}), aiter(body))
    assert caught.value.code == code, caught.value.detail
    return body.taken


@pytest.mark.parametrize("codec", CODECS)
async def test_encoding_that_a_form_chooses_is_refused_before_its_body_is_read(codec: str) -> None:
    assert await refused(f"{TYPE}; charset={codec}", FILE + field("title", b"x" * MAX_FIELD_BYTES) + END) == 0


@pytest.mark.parametrize("codec", CODECS)
async def test_encoding_that_a_field_chooses_is_refused(codec: str) -> None:
    await refused(TYPE, field("title", b"A title", f"Content-Type: text/plain; charset={codec}") + END)


KINDS = {
    "no boundary": "multipart/form-data",
    "an empty boundary": 'multipart/form-data; boundary=""',
    "a long boundary": "multipart/form-data; boundary=" + "x" * 71,
    "a boundary that is no text": "multipart/form-data; boundary=\xe9",
    "another kind that begins alike": "multipart/form-data-x; boundary=x",
    "nested": "multipart/mixed; boundary=x",
    "an endless type": "multipart/form-data; boundary=x" + ";a=b" * 1000,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_type_that_is_no_form_is_refused_before_its_body_is_read(kind: str) -> None:
    assert await refused(kind, FILE + END) == 0


async def test_two_types_are_refused() -> None:
    both = Headers(raw=[(b"content-type", TYPE.encode()), (b"content-type", b"multipart/form-data; boundary=y")])
    with pytest.raises(BadRequest):
        await parse(both, aiter(Body(FILE + END)))


HUGE = 8 * 1024 * 1024
PARTS = {
    "not in UTF-8": field("title", b"\xff\xfe"),
    "a name that is not in UTF-8": field("\xff"),
    "a long name": field("x" * 101),
    "the same field twice": field() + field(),
    "the same header twice": field("title", b"x", "X-A: 1", "x-a: 2"),
    "two dispositions": field("title", b"x", 'Content-Disposition: form-data; name="voice"'),
    "two files": FILE + FILE.replace(b'"file"', b'"other"'),
    "a part without a name": b"--x\r\nContent-Disposition: form-data\r\n\r\nx\r\n",
    "a name by RFC 5987 alone": b"--x\r\nContent-Disposition: form-data; name*=utf-7''title\r\n\r\nx\r\n",
    "an attachment": b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\nx\r\n',
    "base64": field("title", b"QQ==", "Content-Transfer-Encoding: base64"),
    "quoted-printable": field("title", b"=41", "Content-Transfer-Encoding: quoted-printable"),
    "fields that are too many": b"".join(field(f"f{n}", b"") for n in range(MAX_FIELDS + 1)),
    "a field that is too large": field("title", b"x" * (MAX_FIELD_BYTES + 1)),
    "fields that are too large together": b"".join(field(f"f{n}", b"x" * 10_000) for n in range(7)),
    "headers that are too many": field("title", b"x", *(f"X-{n}: x" for n in range(8))),
    "a header that is too large": field("title", b"x", "X: " + "x" * MAX_HEADER_BYTES),
    "a header without end": b"--x\r\nX: " + b"x" * HUGE,
    "a header's name without end": b"--x\r\n" + b"x" * HUGE,
    "headers that are too large together": field("title", b"x", *(f"X-{n}: {'x' * 4000}" for n in range(3))),
    "another delimiter first": b"--y\r\n",
    "no delimiter": b"garbage",
    "parts without end": FILE + b"--x\r\n" * 10_000,
    # Each costs the parser steps of Python; the file would be as long as a manuscript may be.
    "delimiters that are none": FILE[:-2] + b"\r\n--xy" * (HUGE // 6),
    "delimiters that are none, with space": FILE[:-2] + b"\r\n--x" + b" " * HUGE,
    "a nested form": field("title", b"--y\r\n", "Content-Type: multipart/mixed; boundary=y; charset=utf-7"),
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
async def test_part_that_is_more_than_a_form_may_have_is_refused_in_the_first_pieces(parts: bytes) -> None:
    assert await refused(TYPE, parts + END) <= 2


async def test_form_without_its_last_delimiter_is_cut_off() -> None:
    for content in (b"", b"\r\n", b"\r\n" * HUGE, FILE, FILE + field(), FILE + b"--x\r\n", FILE + b"--x-"):
        await refused(TYPE, content, "cut_off")


@pytest.mark.parametrize("size", [1, 2, 5, 7, 64])
async def test_form_is_read_wherever_its_chunks_are_cut(size: int) -> None:
    delimiters = b"\r\n--xy\r\n-x--x\r\n--"  # of which none is one
    content = (
        FILE.replace(b"Hello.", b"Hello." + delimiters)
        + field("title", "书名".encode(), "Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: 8bit")
        + field("voice", b"")
    )
    read = await parse(Headers({"Content-Type": f"{TYPE}; charset=utf-8"}), aiter(Body(content + END, size)))
    assert read.fields == {"title": "书名", "voice": ""}
    assert read.file is not None
    assert read.file_field == "file"
    assert await read.file.read() == b"Hello." + delimiters
    read.close()


async def test_delimiters_are_counted_over_the_seams_of_chunks() -> None:
    delimiters = multipart_form._Delimiters(b"x")
    content = b"\r\n--x" * (MAX_FIELDS + 2)
    for at in range(len(content)):
        delimiters.count(content[at : at + 1])
    with pytest.raises(BadRequest):
        delimiters.count(b"\r\n--x")
    spaced = multipart_form._Delimiters(b"x")
    spaced.count(b"\r\n--x")
    with pytest.raises(BadRequest):
        spaced.count(b" ")


async def test_file_is_closed_where_its_form_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forms: list[multipart_form.Form] = []
    close = multipart_form.Form.close

    def noted(self: multipart_form.Form) -> None:
        forms.append(self)
        close(self)

    monkeypatch.setattr(multipart_form.Form, "close", noted)
    await refused(TYPE, FILE + field("title", b"\xff") + END)
    assert [one.file.file.closed for one in forms if one.file is not None] == [True]


def test_part_head_is_bounded_below_what_its_headers_may_be() -> None:
    assert MAX_PART_HEAD_BYTES < multipart_form.MAX_PART_HEADERS * MAX_HEADER_BYTES


@pytest.mark.parametrize("codec", ["punycode", "undefined", "unicode_escape", "utf-7"])
async def test_form_with_an_encoding_of_its_own_is_a_problem(alice: Client, codec: str) -> None:
    content = FILE + field("title", b"+AGEAYgBj-" * 5000) + END
    headers = {"Content-Type": f"{TYPE}; charset={codec}"}
    answer = await alice.http.post("/api/projects", content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_form")


async def test_urlencoded_form_is_not_read(alice: Client) -> None:
    answer = await alice.http.post("/api/projects", data={"text": "Hello."})
    assert (answer.status_code, answer.json()["code"]) == (415, "not_json")


async def test_large_requests_of_one_user_at_once_are_bounded(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_bodies_at_once": 1})
    async with (
        serve(narrow) as address,
        signed_in(address, narrow, "alice") as alice,
        signed_in(address, narrow, "alice") as again,
    ):

        async def refused() -> httpx.Response | None:
            answer = await again.http.post("/api/projects", json={"text": "Hello."})
            return None if answer.is_success else answer

        async def body() -> AsyncIterator[bytes]:
            yield FILE
            # The server may not have begun with this one yet.
            answer = await until(refused)
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_at_once")
            assert answer.headers["retry-after"] == "5"
            yield END

        first = await alice.http.post("/api/projects", content=body(), headers={"Content-Type": TYPE})
        assert first.status_code == httpx.codes.CREATED, first.text
        await again.create()


def test_user_who_has_ended_is_not_kept() -> None:
    flying = InFlight(2)
    with flying.one("a"), flying.one("a"), flying.one("b"), pytest.raises(TooMany):
        flying.one("a").__enter__()
    assert not flying._now
