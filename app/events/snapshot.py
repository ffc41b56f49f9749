"""The state of a reader's jobs and the cursor that belongs to it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from app.core.cursor import Cursor
from app.core.eventlog import EventLog
from app.core.jobs import Jobs
from app.core.models import Job
from app.core.projects import Projects


class Snapshot(NamedTuple):
    """The latest job of everything that can be made. Events past `cursor` bring `jobs` up to date."""

    cursor: Cursor
    jobs: list[Job]

    def document(self) -> dict[str, object]:
        return {"cursor": str(self.cursor), "jobs": [job.json_dict() for job in self.jobs]}


async def snapshot(log: EventLog, shelf: Projects, jobs: Jobs, user: str, projects: Collection[str] = ()) -> Snapshot:
    """The user's jobs, of all projects or of those named.

    The cursor is read first: what happens meanwhile is then told once more, never missed.
    """
    cursor = await log.top(user)
    wanted = projects or [project.id for project in await shelf.all(user)]
    return Snapshot(cursor, [job for project in wanted for job in (await jobs.latest(user, project)).values()])
