"""How long to wait before trying again: full jitter under a ceiling that doubles, as in the browser's module."""

from __future__ import annotations

import random


class Backoff:
    """Pauses drawn evenly from 0 to a ceiling that doubles from `base` to `cap` seconds; it never gives up."""

    def __init__(self, base: float = 1.0, cap: float = 30.0) -> None:
        self._base = base
        self._cap = cap
        self._attempt = 0

    def next(self) -> float:
        """Seconds to wait before the next try."""
        ceiling = min(self._cap, self._base * 2.0 ** min(self._attempt, 30))
        self._attempt += 1
        return random.uniform(0, ceiling)

    def reset(self) -> None:
        self._attempt = 0
