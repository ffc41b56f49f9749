"""How the pipeline tells how far it is."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Pace(NamedTuple):
    """Work of the kind that takes time, in any one unit: `done` of `total`. What is there already is no work.

    `kept` is whether some of what this attempt did is kept, and need not be done again if its worker is lost.
    """

    done: int
    total: int
    kept: bool = False


class ProgressCallback(Protocol):
    """Awaited as `report(stage, done, total)`. What it raises ends the work: so a job is cancelled."""

    async def __call__(self, stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        """Tells of `stage`, one of the job's queue in `app.core.jobs.progress.STAGES`.

        Args:
            done, total: how many of the stage's units are done (0, 0 where it has none).
            pace: what to judge the time by that is left, where units differ in what they cost.
        """
        ...
