"""Moments as they are stored and sent: RFC 3339, in UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


def now() -> str:
    """This moment as RFC 3339 in UTC, to the millisecond."""
    seconds, milliseconds = divmod(time.time_ns() // 1_000_000, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


def moment(seconds: float) -> str:
    """A moment of Unix time as RFC 3339 in UTC, to the second."""
    return f"{_second(int(seconds))}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """Kept, as all that happens in a second begins alike."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
