"""Long runs of one repeated unit: nobody listens to a thousand of the same, and voices break on them.

What is repeated so often is laughter, a scream, a stutter, a line of marks, or an attack: `hahahaha…`, `nooooo…`,
`s's's's'…`. Whoever hears it knows after some seconds that it goes on. Prose has no unit as often in a row as is kept
here; numbers may, and there each digit counts: a unit with a digit in it is left as it is.

eSpeak NG writes past its buffers from some fifty repetitions on, and from fewer where the unit is longer.
"""

from __future__ import annotations

import re

KEPT = 24
"""How often a unit is said that is repeated more often in a row."""

_MAX_LENGTH = 12  # characters of a unit
_RUN = re.compile(rf"([^\d]{{1,{_MAX_LENGTH}}}?)\1{{{KEPT},}}", re.S)


def shortened(text: str) -> str:
    """`text` in which no unit of at most 12 characters, none of them a digit, comes more than `KEPT` times in a row."""
    return _RUN.sub(lambda run: run[1] * KEPT, text) if _may_repeat(text) else text


def _may_repeat(text: str) -> bool:
    """Whether there may be a run: the pattern tries every unit at every place, which takes thirty times as long.

    Wherever a run of a unit begins, one of the places looked at lies in it, with seven of the unit after it.
    """
    places = ((size, at) for size in range(1, _MAX_LENGTH + 1) for at in range(0, len(text) - 7 * size + 1, 12 * size))
    return any(text[at : at + 6 * size] == text[at + size : at + 7 * size] for size, at in places)
