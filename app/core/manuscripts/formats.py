"""Which manuscript formats SmartVoice reads, and how a file's name and first bytes tell them."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.core.errors import UnsupportedMedia

HEAD_BYTES = 1024  # as much of a file's beginning as `format_of` looks at
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _anything(head: bytes) -> bool:
    return True


def _zip(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04")


def _rtf(head: bytes) -> bool:
    return head.lstrip().startswith(b"{\\rtf")


def _markup(head: bytes) -> bool:
    for mark in _MARKS:
        head = head.removeprefix(mark)
    # UTF-16 markup has a NUL beside each character; nothing else that could be markup has any.
    return head.replace(b"\0", b"").lstrip().startswith(b"<")


@dataclass(frozen=True)
class Format:
    """The suffixes that a format's files carry, and whether the first bytes of a file can be of it."""

    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]


FORMATS: dict[str, Format] = {
    "txt": Format((".txt", ".text"), _anything),
    "md": Format((".md", ".markdown"), _anything),
    "epub": Format((".epub",), _zip),
    "docx": Format((".docx",), _zip),
    "odt": Format((".odt",), _zip),
    "html": Format((".html", ".htm", ".xhtml"), _markup),
    "fb2": Format((".fb2",), _markup),
    "rtf": Format((".rtf",), _rtf),
}
_BY_SUFFIX = {suffix: name for name, row in FORMATS.items() for suffix in row.suffixes}


def suffix_of(name: str) -> str:
    """A file's suffix in small letters, such as `.txt`; empty where it has none.

    A dot at the end is none; to Python 3.14 it is, to those before it was not.
    """
    suffix = PurePosixPath(name).suffix.lower()
    return "" if suffix == "." else suffix


def format_of(filename: str | None, head: bytes) -> str:
    """The name in `FORMATS` of a file that is called `filename` and begins with `head`; `txt` where no suffix tells.

    Raises UnsupportedMedia (`unsupported_format` by the name, `wrong_magic` by the bytes).
    """
    suffix = suffix_of(filename or "")
    if not suffix:
        return "txt"
    name = _BY_SUFFIX.get(suffix)
    if name is None:
        known = ", ".join(FORMATS)
        raise UnsupportedMedia(
            f"SmartVoice cannot read this kind of file; it reads {known}.", code="unsupported_format"
        )
    if not FORMATS[name].matches(head):
        raise UnsupportedMedia(f"The file is called {suffix} but does not hold {name}.", code="wrong_magic")
    return name
