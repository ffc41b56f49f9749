"""Roman numerals."""

from __future__ import annotations

import re

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WELL_FORMED = re.compile(r"(?=[IVXLC])(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")


def value(numeral: str) -> int | None:
    """What a numeral up to LXXXIX in capitals means; None where it is none."""
    if not _WELL_FORMED.fullmatch(numeral):
        return None
    numbers = [_VALUES[char] for char in numeral]
    return sum(-one if one < after else one for one, after in zip(numbers, [*numbers[1:], 0], strict=True))
