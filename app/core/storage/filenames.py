"""Names of files that every file system takes: Windows' rules are the narrowest, and hold everywhere."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]+')
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
_MAX_BYTES = 120  # of 255 that a name may have: path lengths are limited, too


def safe(name: str, otherwise: str) -> str:
    """`name` without what a file's name must not have; `otherwise` where nothing is left of it.

    Control characters and those that turn the direction of a text are left out: a name must read as what it is.
    """
    plain = _FORBIDDEN.sub(" ", unicodedata.normalize("NFC", name))
    plain = "".join(char for char in plain if unicodedata.category(char)[0] != "C")
    plain = _cut(" ".join(plain.split()).lstrip(".")).strip(" .")
    if not plain:
        return otherwise
    return f"_{plain}" if _RESERVED.fullmatch(plain) else plain


def _cut(name: str) -> str:
    return name.encode()[:_MAX_BYTES].decode(errors="ignore")
