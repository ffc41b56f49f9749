"""The encoding of markup: what it declares, else what fits it best."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from app.core.markup import HEAD_BYTES
from app.core.text import beginning, encoding_of, scrubbed

_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9._-]+)", re.IGNORECASE)
_CHARSET_WITHIN = 2048  # bytes
# Python knows "encodings" that are none, and some in which reading takes time without end.
_ENCODINGS = re.compile(r"utf-(?:8|16|32).*|gb.*|big5.*|cp\d+|iso8859-.*|koi8-.*|shift_jis.*|euc_.*|ascii|hz")
_CHUNK = 1024 * 1024


def text_of_markup(content: bytes) -> str:
    """The text of a document of XML or HTML, its markup included."""
    try:
        text = content.decode(_declared(content))
    except UnicodeError:
        text = content.decode(encoding_of(content[:HEAD_BYTES]), "replace")
    return scrubbed(text)


def copy_in_utf8(source: Path, target: Path) -> None:
    """Markup in UTF-8, the only encoding pandoc reads. Raises Unprocessable (`not_text`)."""
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        _recode(source, target, _declared(head), "strict")
    except UnicodeError:
        beginning(head, whole=False)
        _recode(source, target, encoding_of(head), "replace")


def _declared(head: bytes) -> str:
    match = _CHARSET.search(head[:_CHARSET_WITHIN])
    try:
        name = codecs.lookup(match[1].decode()).name if match else "utf-8"
    except LookupError:
        name = ""
    return name if _ENCODINGS.fullmatch(name) else "utf-8"


def _recode(source: Path, target: Path, encoding: str, errors: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with source.open("rb") as file, target.open("wb") as copy:
        first = True
        while packed := file.read(_CHUNK):
            text = decoder.decode(packed)
            if first:
                text = _XML_DECLARATION.sub("", text.lstrip("\ufeff"), count=1)
                first = False
            copy.write(text.encode("utf-8", errors="replace"))
        copy.write(decoder.decode(b"", final=True).encode("utf-8", errors="replace"))
