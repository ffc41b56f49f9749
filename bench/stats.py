"""The arithmetic of the benchmarks: percentiles of weighted samples, medians over passes, ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence


def percentile(samples: Sequence[tuple[float, int]], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all counts do not exceed; samples are (value, count).

    Raises ValueError where there are none.
    """
    total = sum(count for _, count in samples)
    if total <= 0:
        raise ValueError("no samples")
    ordered = sorted(samples)
    wanted, seen = share * total, 0
    for value, count in ordered:
        seen += count
        if seen >= wanted:
            return value
    return ordered[-1][0]


def median(values: Iterable[float | None]) -> float | None:
    """The median of the values that there are; None where there are none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratio(mine: float | None, other: float | None) -> float | None:
    """How many times `other` `mine` is; None where either is unknown or `other` is nothing."""
    return None if mine is None or not other else mine / other


def paired(mine: Mapping[int, float | None], other: Mapping[int, float | None]) -> float | None:
    """The median of the ratios in each pass that has both. A machine that is faster in one pass than in another, as
    virtual ones are, then changes less than where medians are compared."""
    return median(ratio(value, other.get(number)) for number, value in mine.items())
