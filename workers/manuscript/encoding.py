"""The encoding of markup: what it declares, else what fits it best."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from app.core.manuscripts.markup import HEAD_BYTES, encoding_of_markup
from app.core.manuscripts.text import beginning, encoding_of, scrubbed
from workers.core.cancellation import Check, unchecked

_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_CHUNK = 1024 * 1024


def text_of_markup(content: bytes) -> str:
    """The text of a document of XML or HTML, its markup included."""
    try:
        text = content.decode(encoding_of_markup(content[:HEAD_BYTES]))
    except UnicodeError:
        text = content.decode(encoding_of(content[:HEAD_BYTES]), "replace")
    return scrubbed(text)


def copy_in_utf8(source: Path, target: Path, check: Check = unchecked) -> None:
    """A copy of markup in UTF-8; `check` may end it. Raises Unprocessable (`not_text`)."""
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        _recode(source, target, encoding_of_markup(head), "strict", check)
    except UnicodeError:
        beginning(head, whole=False)
        _recode(source, target, encoding_of(head), "replace", check)


def _recode(source: Path, target: Path, encoding: str, errors: str, check: Check) -> None:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with source.open("rb") as file, target.open("wb") as copy:
        first = True
        while packed := file.read(_CHUNK):
            check()
            text = decoder.decode(packed)
            if first:
                text = _XML_DECLARATION.sub("", text.lstrip("\ufeff"), count=1)
                first = False
            copy.write(text.encode("utf-8", errors="replace"))
        copy.write(decoder.decode(b"", final=True).encode("utf-8", errors="replace"))
