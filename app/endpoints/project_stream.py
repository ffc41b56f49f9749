"""A project with its chapters, and the list of projects, as JSON in parts, read from Redis as a client takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.core.jobs.models import Job
from app.core.json_model import compact
from app.core.packed_ids import PackedIds
from app.core.projects import books
from app.core.projects.estimate import estimate
from app.core.projects.models import Chapter, Project
from app.core.settings import Settings
from app.core.vocabulary import BOOK, MANUSCRIPT
from app.state import State

_CHAPTERS_EACH = 50
_PROJECTS_EACH = 20


async def project_list(state: State, user: str) -> AsyncIterator[bytes]:
    """A `ProjectList`."""
    left, before = PackedIds(await state["projects"].ids(user)), b'{"projects":['
    while left:
        batch, left = left.divided(_PROJECTS_EACH)
        found = await state["projects"].some(user, batch)
        made = [(await state["jobs"].latest_of(user, project.id, [MANUSCRIPT]))[0] for project in found]
        for project, job in zip(found, made, strict=True):
            yield before + compact(document(project, job)).encode()
            before = b","
    yield (b"" if before == b"," else before) + b"]}"


async def project_snapshot(state: State, user: str, id: str) -> AsyncIterator[bytes]:
    """A `ProjectSnapshot`. Its cursor is read first: what happens meanwhile is told again, not missed.

    Raises NotFound before its first part.
    """
    cursor = await state["log"].top(user)
    parsing, assembly = await state["jobs"].latest_of(user, id, [MANUSCRIPT, BOOK])
    project, record = await state["projects"].with_record(user, id)
    sums = _Sums(project, state["settings"])
    told = document(project, parsing) | {"bookJob": job_json(assembly), "cursor": str(cursor)}
    yield _members(told) + b',"chapters":['
    del told
    left, between = PackedIds(await state["projects"].chapter_ids(user, id)), b""
    while left:
        batch, left = left.divided(_CHAPTERS_EACH)
        if part := await _chapters(state, user, batch, sums):
            yield between + part
            between = b","
    there = books.books_of(record, sums.contents.digits())
    yield b"]," + _members({"books": [book.json_dict() for book in there], **sums.told()})[1:] + b"}"


async def _chapters(state: State, user: str, ids: Sequence[str], sums: _Sums) -> bytes:
    """The next chapters with their jobs, of which nothing is kept but the bytes."""
    # Jobs before what they make: no completed job is shown beside a chapter that lacks its audio.
    made = await state["jobs"].latest_of(user, sums.project.id, ids)
    chapters = await state["projects"].some_chapters(user, ids, sums.project, before=sums.count)
    jobs = {owner: job_json(job) for owner, job in zip(ids, made, strict=True)}
    sums.count += len(chapters)
    sums.contents.add(chapters)
    return ",".join(compact(sums.add(chapter) | {"job": jobs[chapter.id]}) for chapter in chapters).encode()


class _Sums:
    """What is told of all chapters together."""

    def __init__(self, project: Project, settings: Settings) -> None:
        self.project = project
        self._settings = settings
        self._seconds = self._costs = 0.0
        self.count = 0
        self.contents = books.Contents(project)

    def add(self, chapter: Chapter) -> dict[str, Any]:
        """The chapter as an `EstimatedChapter`."""
        told = estimated(chapter, self.project, self._settings)
        self._seconds += told["estimatedSeconds"]
        self._costs += told["estimatedCost"] or 0
        return told

    def told(self) -> dict[str, Any]:
        priced = self._settings.price_per_million_characters
        return {
            "estimatedSeconds": round(self._seconds, 1),
            "estimatedCost": round(self._costs, 6) if priced else None,
            "priceCurrency": self._settings.price_currency,
        }


def estimated(chapter: Chapter, project: Project, settings: Settings) -> dict[str, Any]:
    """A chapter as an `EstimatedChapter`."""
    speed = chapter.speed or project.speed
    expected = estimate(chapter.characters, project.language, settings, speed)
    return chapter.json_dict() | {"estimatedSeconds": expected.seconds, "estimatedCost": expected.cost}


def document(project: Project, job: Job | None) -> dict[str, Any]:
    """A project as a `ProjectWithJob`; `job` is that of its manuscript."""
    return project.json_dict() | {"job": job_json(job)}


def job_json(job: Job | None) -> dict[str, Any] | None:
    return None if job is None else job.json_dict()


def _members(told: dict[str, Any]) -> bytes:
    """A JSON object that is to be gone on with: without its end."""
    return compact(told)[:-1].encode()
