"""How long the short texts of a project may be, in characters (code points), whichever way they come in.

Kept free of imports: the program that splits manuscripts needs it as much as the web side does.
"""

from __future__ import annotations

MAX_TITLE = 300
"""Of a project or a chapter."""
MAX_AUTHOR = 300
MAX_LANGUAGE_TAG = 35
"""Of a language as a manuscript names it (RFC 5646, 4.4.1, recommends room for 35)."""
MAX_VOICE = 100
MAX_TERM = 100
"""Of a term in a pronunciation dictionary."""
MAX_RESPELLING = 200
MAX_GUESSED_TITLE = 100
"""Of a title that is made of a file's name or of the first line of a text."""

_ELLIPSIS = "…"


def shortened(text: str, longest: int = MAX_TITLE) -> str:
    """`text` if it is short enough, else its beginning with an ellipsis, cut between words where that loses little."""
    return divided(text, longest)[0]


def divided(text: str, longest: int = MAX_TITLE) -> tuple[str, str]:
    """`shortened`, and the rest of the text, which is empty where nothing was cut off."""
    if len(text) <= longest:
        return text, ""
    end = longest - len(_ELLIPSIS)
    space = text.rfind(" ", longest // 2, end + 1)
    if space > 0:
        end = space
    return text[:end].rstrip() + _ELLIPSIS, text[end:].strip()


def numbered(title: str, number: int) -> str:
    """`title (2)` and so on, no longer than a title may be."""
    mark = f" ({number})"
    return shortened(title, MAX_TITLE - len(mark)) + mark
