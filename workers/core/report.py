"""How the pipeline reports its progress."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Pace(NamedTuple):
    """Work that takes time, in any one unit: `done` of `total`. What is cached is no work.

    `kept`: some of this attempt's work is stored and need not be done again if its worker is lost.
    """

    done: int
    total: int
    kept: bool = False


class ProgressCallback(Protocol):
    """Awaited as `report(stage, done, total)`. An exception ends the work; this is how a job is cancelled."""

    async def __call__(self, stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        """Report `stage`, one of the job's queue in `app.core.jobs.progress.STAGES`.

        Args:
            done, total: how many of the stage's units are done (0, 0 if it has none).
            pace: what to estimate the remaining time by, if units differ in cost.
        """
        ...
