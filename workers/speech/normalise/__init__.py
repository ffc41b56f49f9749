"""Writes out what a simple voice reads wrong: numbers, dates, times, units, money, abbreviations.

Only what is sure in its language is touched, and what the embedded voice says well is left to it.
"""

from __future__ import annotations

import unicodedata

from app.core.vocabulary import Language
from workers.speech.normalise import chinese, english


def written_out(text: str, language: Language) -> str:
    """`text` in `language` as it is to be read."""
    plain = "".join(unicodedata.normalize("NFKC", char) if _is_wide(char) else char for char in text)
    return chinese.written_out(plain) if language == "zh-CN" else english.written_out(plain)


def _is_wide(char: str) -> bool:
    """Full-width digits, letters and signs, and numbers that are one character: `１`, `Ａ`, `％`, `Ⅳ`, `㎏`."""
    return (
        char == "\uff05"
        or char == "\uff0b"
        or ("\uff10" <= char <= "\uff5a" and char.isalnum())
        or ("\u2160" <= char <= "\u217f" or "\u3380" <= char <= "\u33df")
    )
