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

_RUN = re.compile(rf"([^\d]{{1,12}}?)\1{{{KEPT},}}", re.S)


def shortened(text: str) -> str:
    """`text` in which no unit of at most 12 characters, none of them a digit, comes more than `KEPT` times in a row."""
    return _RUN.sub(lambda run: run[1] * KEPT, text)
