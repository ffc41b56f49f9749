"""A document that declares entities is refused, in whatever encoding; one with an ordinary prolog is not."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.core.errors import Unprocessable
from app.core.manuscripts.markup import HEAD_BYTES, check_prolog, encoding_of_markup
from tests.harmful_files import LAUGHS, XXE

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
# Their bytes have those of `?>` and `-->` in them, in the one byte order or in the other.
LOOKALIKES = ["\u3f00\u3e00", "\u2d00\u2d00\u3e00", "\u003f\u3e00", "\u2d2d\u3e00"]
UNSAFE = [
    LAUGHS,
    XXE,
    '<?xml version="1.0"?>\n<!-- a --> \n' + XXE,
    "<!doctype x [ ]>",
    '<!DOCTYPE x PUBLIC "a>b" "c" [<!ENTITY % p SYSTEM "http://example.org/x">%p;]>',
    "<!DOCTYPE x SYSTEM 'it[s' [",
    '<!ENTITY x "y">',
    "<!-- without end",
    "<!DOCTYPE x 'without end",
]
SAFE = [
    "",
    "<p>Text</p>",
    "<!DOCTYPE html>",
    '<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/[1].dtd">',
    "<p>&lt;!DOCTYPE x [ &lt;!ENTITY</p>",
    "<p><![CDATA[<!DOCTYPE x [<!ENTITY a 'b'>]>]]></p>",
    "<!-- <!DOCTYPE x [ --><p>Text</p>",
    "Text that is no markup: <!ENTITY",
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("prolog", UNSAFE)
def test_declared_entity_is_refused(prolog: str, encoding: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        check_prolog(f"{prolog}<x>&a;</x>".encode(encoding), whole=True)
    assert caught.value.code == "unsafe_xml"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("lookalike", LOOKALIKES)
@pytest.mark.parametrize("begin", ["<?a ", "<!-- "])
def test_bytes_that_look_like_an_end_end_nothing(begin: str, lookalike: str, encoding: str) -> None:
    end = "?>" if begin == "<?a " else "-->"
    document = f"{begin}{lookalike}<x>{end}{LAUGHS}<x>&a;</x>".encode(encoding)
    with pytest.raises(Unprocessable):
        check_prolog(document, whole=True)


def test_encoding_in_which_a_bracket_is_another_byte_is_refused() -> None:
    with pytest.raises(Unprocessable):
        check_prolog(f"<?xml version='1.0' encoding='cp037'?>{LAUGHS}<x>&a;</x>".encode("cp037"), whole=True)
    # Two Chinese characters in HZ have the bytes of `?>`.
    hidden = b"<?xml version='1.0' encoding='hz'?><?a ~{?>~}<x>?>" + LAUGHS.encode()
    with pytest.raises(Unprocessable):
        check_prolog(hidden, whole=True)


@pytest.mark.parametrize("name", ["utf-7", "punycode", "idna", "zip", "unicode_escape", "cp037", "utf-16", "x"])
def test_encoding_that_is_no_texts_is_never_used(name: str) -> None:
    assert encoding_of_markup(f'<?xml version="1.0" encoding="{name}"?>'.encode()) == "utf-8"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("prolog", SAFE)
def test_ordinary_document_is_let_pass(prolog: str, encoding: str) -> None:
    check_prolog(f"{prolog}<p>Text</p>".encode(encoding), whole=True)


def test_prolog_that_is_longer_than_the_look_is_refused() -> None:
    head = b"<!-- x -->" * HEAD_BYTES
    with pytest.raises(Unprocessable):
        check_prolog(head[:HEAD_BYTES], whole=False)


@pytest.mark.parametrize(
    "piece", [b"<", b"<!--", b"<?", b"<!DOCTYPE ", b"'", b'"<', b" ", b"<!DOCTYPE a'\"", b"--><!--"]
)
def test_no_prolog_takes_long(piece: bytes) -> None:
    for begin in (b"", b"<!DOCTYPE "):
        with suppress(Unprocessable):
            check_prolog(begin + piece * (HEAD_BYTES // len(piece)), whole=False)
