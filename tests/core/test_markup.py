"""A document that declares entities is refused, in whatever encoding; one with an ordinary prolog is not."""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.core.errors import Unprocessable
from app.core.markup import HEAD_BYTES, check_prolog
from tests.bombs import LAUGHS, XXE

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
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
