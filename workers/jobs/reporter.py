"""From the pipeline's `report` to events in the log: at most ten a second for a job, changes of stage at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from app.core.aio import cancel_and_wait
from app.core.jobs.progress import progress
from app.core.jobs.service import Claim, Jobs
from app.core.telemetry.metrics import STAGE_SECONDS, labelled
from workers.core.report import Pace
from workers.runtime.fair_scheduler import JobSlot


@dataclass(frozen=True)
class _Point:
    stage: str
    done: int
    total: int
    eta_seconds: float | None = None
    kept: bool = False


class Reporter:
    """The `report` of one attempt. It raises Refused once the job is no longer this attempt's.

    A report that comes too soon after the last one waits, and is replaced by a later one.
    """

    def __init__(self, jobs: Jobs, claim: Claim, per_second: float, slot: JobSlot | None = None) -> None:
        """`slot`: where the job may have to yield to others, after each report."""
        self._slot = slot
        self._jobs = jobs
        self._claim = claim
        self._pause = 1 / per_second
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._last = _Point(claim.stage, 0, 0)
        self._sent = self._began = self._loop.time()
        self._clock = _Clock(self._loop.time)
        self._waiting: _Point | None = None
        self._timer: asyncio.Task[None] | None = None

    async def __call__(self, stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        await self._report(stage, done, total, pace)
        if self._slot is not None:
            await self._slot.checkpoint(new_work=bool(pace and pace.done))

    async def _report(self, stage: str, done: int, total: int, pace: Pace | None) -> None:
        if stage != self._last.stage:
            self._waiting = None
            self._stage_ends()
            self._clock = _Clock(self._loop.time)
            await self._send(_Point(stage, done, total))
            return
        pace = pace or Pace(done, total)
        point = _Point(stage, done, total, self._clock.left(pace), pace.kept)
        if self._timer is not None and self._lock.locked():
            # The answer may be that another worker has the job by now; what comes next would be paid for twice.
            await asyncio.wait({self._timer})
        self._raise_if_refused()
        self._waiting = point
        if self._loop.time() - self._sent >= self._pause:
            await self._flush()
        elif self._timer is None:
            self._timer = asyncio.create_task(self._flush_in_time())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop the report that waits: a terminal event follows, or nothing."""
        self._waiting = None
        if error is None:
            self._stage_ends()
        if self._timer is not None:
            await cancel_and_wait(self._timer)
            self._timer = None

    def _stage_ends(self) -> None:
        now = self._loop.time()
        labelled(STAGE_SECONDS, self._claim.job.queue, self._last.stage).observe(now - self._began)
        self._began = now

    async def _flush_in_time(self) -> None:
        await asyncio.sleep(self._sent + self._pause - self._loop.time())
        await self._flush()

    async def _flush(self) -> None:
        if self._waiting is not None:
            point, self._waiting = self._waiting, None
            await self._send(point)

    async def _send(self, point: _Point) -> None:
        async with self._lock:
            thin = point.stage == self._last.stage
            if thin and point.done <= self._last.done:
                return
            self._last, self._sent = point, self._loop.time()
            told = progress(
                self._claim.job.queue,
                point.stage,
                self._claim.language,
                done=point.done,
                total=point.total,
                eta_seconds=point.eta_seconds,
            )
            await self._jobs.report(self._claim, told, thin=thin, kept=point.kept)

    def _raise_if_refused(self) -> None:
        """Raise an error of the timer where the pipeline can stop for it."""
        if self._timer is not None and self._timer.done():
            timer, self._timer = self._timer, None
            timer.result()


class _Clock:
    """Estimates how long the rest of a stage takes, by the work done so far. What was cached is no work."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._looked = time()
        self._worked = 0.0
        self._done = 0

    def left(self, pace: Pace) -> float | None:
        """Return seconds; None until some work was done to judge by."""
        looked = self._time()
        if pace.done > self._done:
            self._worked += looked - self._looked
            self._done = pace.done
        self._looked = looked
        return self._worked / pace.done * (pace.total - pace.done) if pace.done else None
