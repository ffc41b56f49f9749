"""Jobs that one waits for, as events change them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.client.events import Event
from app.core.jobs.models import ErrorDetail, Job
from app.core.jobs.progress import Progress

_ENDS = {"complete": "completed", "failed": "failed", "cancelled": "cancelled"}


@dataclass
class Tracked:
    """One job: how far it is, or how it ended (`state`: `open`, `completed`, `failed`, `cancelled`)."""

    job: Job
    state: str
    progress: Progress
    error: ErrorDetail | None = None
    result: dict[str, Any] | None = None


class Tracker:
    """The jobs that were added."""

    def __init__(self) -> None:
        self._jobs: dict[str, Tracked] = {}

    def add(self, *jobs: Job) -> None:
        for job in jobs:
            self._jobs[job.id] = _tracked(job)

    def all(self) -> Iterable[Tracked]:
        return self._jobs.values()

    def open(self) -> list[Tracked]:
        """Those that have not ended."""
        return [one for one in self._jobs.values() if one.state == "open"]

    def hear(self, event: Event) -> list[Tracked]:
        """Those that the event changed."""
        if event.type == "reset":
            told = [Job.model_validate(job) for job in event.data["jobs"]]
            self._jobs |= {job.id: _tracked(job) for job in told if job.id in self._jobs}
            return [self._jobs[job.id] for job in told if job.id in self._jobs]
        found = self._jobs.get(event.data["jobId"])
        verb = event.type.partition(":")[2]
        if found is None or found.state != "open":
            return []
        if verb == "progress":
            found.progress = Progress.model_validate(event.data["progress"])
        else:
            found.state = _ENDS[verb]
            found.result = event.data if verb == "complete" else None
            found.error = ErrorDetail.model_validate(event.data["error"]) if verb == "failed" else None
        return [found]


def _tracked(job: Job) -> Tracked:
    state = "open" if job.state in {"waiting", "active"} else job.state
    return Tracked(job, state, job.progress, job.error, job.result)
