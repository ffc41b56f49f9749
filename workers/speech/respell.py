"""The pronunciation dictionary of a project: what is written one way and said another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from app.core.models import Pronunciation

# Chinese words have no borders that show; a term that begins or ends with a letter of ours does not go on with one.
_LETTER = r"[0-9A-Za-z\u00c0-\u024f]"


def respelled(text: str, pronunciations: Sequence[Pronunciation]) -> str:
    """`text` with each term replaced by its respelling, whole words only.

    Where terms overlap the longest wins, where two are the same the first; what was replaced is not looked at again.
    """
    if not pronunciations:
        return text
    pattern, respellings = _compiled(tuple(pronunciations))
    return pattern.sub(lambda match: respellings[match.lastindex or 0], text)


@lru_cache(maxsize=32)
def _compiled(pronunciations: tuple[Pronunciation, ...]) -> tuple[re.Pattern[str], dict[int, str]]:
    """One pattern with a group for each term, and the respelling of each group."""
    longest_first = sorted(pronunciations, key=lambda one: -len(one.term))
    pattern = re.compile("|".join(f"({_term(one)})" for one in longest_first))
    return pattern, {number: one.respelling for number, one in enumerate(longest_first, 1)}


def _term(one: Pronunciation) -> str:
    before = rf"(?<!{_LETTER})" if re.match(_LETTER, one.term) else ""
    after = rf"(?!{_LETTER})" if re.search(rf"{_LETTER}$", one.term) else ""
    escaped = re.escape(one.term)
    return before + (escaped if one.match_case else f"(?i:{escaped})") + after
