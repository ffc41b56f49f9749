"""What a document in XML or HTML says before its first element: there it may declare entities, which no book needs.

An entity can stand for a file of the machine (XXE) or for a thousand others (billion laughs). A document is decoded
before it is looked at: in UTF-16 the characters U+3F00 U+3E00 have the bytes of `?>` in them, and end nothing.
"""

from __future__ import annotations

import codecs
import re

from app.core.errors import Unprocessable

HEAD_BYTES = 64 * 1024
"""As much of a document's beginning as `check_prolog` wants to see."""

# Longest first: the mark of UTF-32 begins with that of UTF-16. Those without a mark begin with `<` (XML 1.0, F.1).
_BEGINNINGS = [
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
]
_CHARSET = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9._-]+)", re.IGNORECASE)
_CHARSET_WITHIN = 2048  # bytes
# Python knows "encodings" that are none, some in which reading takes time without end, and EBCDIC, whose `<` is an L.
_ENCODINGS = re.compile(
    r"utf-(?:8|16|32).*|gb.*|big5.*|cp(?:125\d|874|93\d|949|950|866|437|85\d)|iso8859-.*|koi8-.*|shift_jis.*|euc_.*"
    r"|ascii|hz"
)
_EBCDIC = b"\x4c\x6f\xa7\x94"  # `<?xm`
_SKIPPED = re.compile(r"\s+|\ufeff|<\?.*?\?>|<!--.*?-->", re.DOTALL)
_DOCTYPE = re.compile(r"<!DOCTYPE(?:[^\[>\"']|\"[^\"]*\"|'[^']*')*", re.IGNORECASE)
_UNFINISHED = ("<?", "<!--")


def encoding_of_markup(head: bytes) -> str:
    """The encoding that a document's beginning tells: by its mark, by how it begins, by what it declares; else UTF-8.

    Only encodings of texts are found, none of Python's other codecs.
    """
    for beginning, encoding in _BEGINNINGS:
        if head.startswith(beginning):
            return encoding
    match = _CHARSET.search(head[:_CHARSET_WITHIN])
    try:
        name = codecs.lookup(match[1].decode()).name if match else "utf-8"
    except LookupError:
        name = ""
    # What is declared in ASCII is not in an encoding of several bytes for each letter, whatever it says.
    return name if _ENCODINGS.fullmatch(name) and not name.startswith(("utf-16", "utf-32")) else "utf-8"


def check_prolog(head: bytes, *, whole: bool) -> None:
    """Looks at the first `HEAD_BYTES` of a document; `whole` where it has no more.

    Raises Unprocessable (`unsafe_xml`) where it declares entities, or where `head` ends before it can be told.
    """
    if head.startswith(_EBCDIC):
        raise unsafe()
    text = head.decode(encoding_of_markup(head), "replace")
    at = 0
    while at < len(text):
        if skipped := _SKIPPED.match(text, at):
            at = skipped.end()
        elif doctype := _DOCTYPE.match(text, at):
            at = doctype.end() + 1
            if text[doctype.end() : at] != ">":
                raise unsafe()
        elif text.startswith(_UNFINISHED, at) or text[at : at + 8].upper() == "<!ENTITY":
            raise unsafe()
        else:
            return
    if not whole:
        raise unsafe()


def unsafe() -> Unprocessable:
    return Unprocessable("The document declares entities of its own, which are not allowed.", code="unsafe_xml")
