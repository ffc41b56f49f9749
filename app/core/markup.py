"""What a document in XML or HTML says before its first element: there it may declare entities, which no book needs.

An entity can stand for a file of the machine (XXE) or for a thousand others (billion laughs).
"""

from __future__ import annotations

import codecs
import re

from app.core.errors import Unprocessable

HEAD_BYTES = 64 * 1024
"""As much of a document's beginning as `check_prolog` wants to see."""

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SKIPPED = re.compile(rb"\s+|<\?.*?\?>|<!--.*?-->", re.DOTALL)
_DOCTYPE = re.compile(rb"<!DOCTYPE(?:[^\[>\"']|\"[^\"]*\"|'[^']*')*", re.IGNORECASE)
_UNFINISHED = (b"<?", b"<!--")


def check_prolog(head: bytes, *, whole: bool) -> None:
    """Looks at the first `HEAD_BYTES` of a document; `whole` where it has no more.

    Raises Unprocessable (`unsafe_xml`) where it declares entities, or where `head` ends before it can be told.
    """
    for mark in _MARKS:
        head = head.removeprefix(mark)
    # In UTF-16 and UTF-32 there are NULs beside each of the characters that matter here, and nothing else is different.
    head = head.replace(b"\0", b"")
    at = 0
    while at < len(head):
        if skipped := _SKIPPED.match(head, at):
            at = skipped.end()
        elif doctype := _DOCTYPE.match(head, at):
            at = doctype.end() + 1
            if head[doctype.end() : at] != b">":
                raise _unsafe()
        elif head.startswith(_UNFINISHED, at) or head[at : at + 8].upper() == b"<!ENTITY":
            raise _unsafe()
        else:
            return
    if not whole:
        raise _unsafe()


def _unsafe() -> Unprocessable:
    return Unprocessable("The document declares entities of its own, which are not allowed.", code="unsafe_xml")
