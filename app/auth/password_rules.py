"""What is no password: too short, too long, or one of the first that anybody would try (NIST SP 800-63B, 3.1.1.2).

There are no rules about kinds of characters. The common ones are held as digests, cut to `_DIGEST` bytes and sorted:
`tools/common_passwords.py` makes that file. A password is looked for as it is, and without what people put around a
common word to make it longer: figures, marks, repetition, letters that look alike. All of it takes linear time.
"""

from __future__ import annotations

import hashlib
import unicodedata
from functools import cache
from importlib.resources import files
from itertools import pairwise

from app.core.errors import Unprocessable

MAX_LENGTH = 256

_DIGEST = 6
_MIN_NAME = 4
_MIN_UNIT = 4
_MAX_AFFIX = 6
_MIN_OF_ITS_OWN = 8
_LOOK_ALIKE = str.maketrans("4@310!$57+", "aaeloisstt")
_KEYBOARD = "1234567890qwertyuiopasdfghjklzxcvbnm"
_ROWS = (_KEYBOARD * 8, "1234567890" * 26)
_SERVICE = "smartvoice"


def normalised(password: str) -> str:
    """The form that is hashed, whichever way a keyboard composes its characters."""
    return unicodedata.normalize("NFC", password)


def check_new(password: str, name: str, shortest: int) -> None:
    """Refuse what `name` cannot have as a password. Raises Unprocessable (`weak_password`, `common_password`)."""
    if len(password) < shortest:
        raise Unprocessable(f"A password has at least {shortest} characters.", code="weak_password", limit=shortest)
    if len(password) > MAX_LENGTH:
        raise Unprocessable(f"A password has at most {MAX_LENGTH} characters.", code="weak_password", limit=MAX_LENGTH)
    if is_common(password, name):
        raise Unprocessable(
            "This password is among the first that others would try; take some words that only you would put together.",
            code="common_password",
        )


def is_common(password: str, name: str = "") -> bool:
    """Whether it is a common password, or one with little added to it, or little more than a name of ours or theirs."""
    plain = unicodedata.normalize("NFKC", password).casefold()
    unit = _unit(plain)
    if unit != plain and len(unit) <= _MIN_UNIT:
        return True
    if any(_little_else(plain, one) for one in (_SERVICE, name.casefold())):
        return True
    return any(_listed(form) or _is_run(form) for form in (plain, unit, *_cores(plain)))


def digest(word: str) -> bytes:
    """What the file holds of a common password."""
    return hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()[:_DIGEST]


@cache
def _common() -> frozenset[bytes]:
    content = files("app.auth").joinpath("common_passwords.bin").read_bytes()
    return frozenset(content[start : start + _DIGEST] for start in range(0, len(content), _DIGEST))


def _listed(word: str) -> bool:
    return digest(word) in _common() or digest(word.translate(_LOOK_ALIKE)) in _common()


def _unit(text: str) -> str:
    """The shortest part of which the text is a repetition, the last of them maybe cut off; else the text."""
    borders = [0] * len(text)
    length = 0
    for index in range(1, len(text)):
        while length and text[index] != text[length]:
            length = borders[length - 1]
        length += text[index] == text[length]
        borders[index] = length
    period = len(text) - (borders[-1] if borders else 0)
    return text[:period] if 2 * period <= len(text) else text


def _cores(text: str) -> list[str]:
    """The text without the figures and marks around it, where these are few or themselves common."""
    core = text.strip("".join(char for char in set(text) if not char.isalpha()))
    if not core:
        return []
    before, _, after = text.partition(core)
    plain = all(len(part) <= _MAX_AFFIX or _listed(part) or _is_run(part) for part in (before, after))
    return [core, _unit(core)] if plain else []


def _is_run(text: str) -> bool:
    """Whether it is one character, a run through the alphabet or the figures, or along the keyboard."""
    steps = {ord(second) - ord(first) for first, second in pairwise(text)}
    if len(text) > 1 and len(steps) == 1 and steps <= {-1, 0, 1}:
        return True
    return len(text) > _MIN_UNIT and any(text in row or text[::-1] in row for row in _ROWS)


def _little_else(text: str, name: str) -> bool:
    return len(name) >= _MIN_NAME and name in text and len(text.replace(name, "")) < _MIN_OF_ITS_OWN
