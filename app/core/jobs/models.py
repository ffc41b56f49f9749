"""Jobs as they are stored and sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic_core import from_json

from app.core.jobs.progress import Progress
from app.core.json_model import Model
from app.core.vocabulary import ASSEMBLY, BOOK, MANUSCRIPT, BookFormat, Queue

State = Literal["waiting", "active", "completed", "failed", "cancelled"]


class ErrorDetail(Model):
    """Why a job failed."""

    code: str
    message: str


class Job(Model):
    """One piece of work and how far it is. `version`: id of its latest event; `format`: of the book it makes."""

    id: str
    queue: Queue
    project_id: str
    chapter_id: str | None
    state: State
    progress: Progress
    attempt: int
    version: str
    created_at: str
    updated_at: str
    result: dict[str, Any] | None = None
    error: ErrorDetail | None = None
    format: BookFormat | None = None

    @property
    def owner(self) -> str:
        """What it makes: a chapter's id, `manuscript` or `book`."""
        return self.chapter_id or (BOOK if self.queue == ASSEMBLY else MANUSCRIPT)

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> Self:
        plain = {name: value for name, value in record.items() if name not in {"progress", "result", "error"}}
        nested = {name: from_json(record[name]) for name in ("progress", "result", "error") if record.get(name)}
        optional = {name: record.get(name) or None for name in ("chapterId", "format")}
        return cls.model_validate(plain | optional | nested)
