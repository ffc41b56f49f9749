"""What SmartVoice speaks of: projects, chapters and jobs, in Python snake_case, in JSON camelCase."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import from_json, to_json

from app.core.jobs.progress import ASSEMBLY, Language, Progress, Queue

BookFormat = Literal["m4b", "zip"]
State = Literal["waiting", "active", "completed", "failed", "cancelled"]
VOICE_ID = r"[A-Za-z0-9._/+-]+"
"""What the id of a voice looks like; 100 characters at most."""
MANUSCRIPT = "manuscript"
"""What a parse job makes, where a narration names its chapter."""
BOOK = "book"
"""What an assembly makes."""


class Model(BaseModel):
    """A value that is sent as JSON in camelCase and kept in a Redis hash as text, field by field."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)

    def json_dict(self) -> dict[str, Any]:
        """As it is sent."""
        return self.model_dump(by_alias=True, mode="json")

    def json_text(self) -> str:
        """The same as text, as `compact` has it."""
        return self.model_dump_json(by_alias=True)


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


class LeftOut(Model):
    """How many characters of a manuscript are not read aloud for a reason, such as `notes` or `code`."""

    reason: str
    characters: int


class Pronunciation(Model):
    """How a term is said: what is read in its place. `match_case`: only where its capitals are the same, too."""

    term: str
    respelling: str
    match_case: bool = False


class Project(Model):
    """A manuscript on its way to being a book. `cover_type`: the media type of its cover; empty where it has none.

    `characters_in`, `characters_spoken` and `left_out` count the visible characters of the manuscript as it was parsed.
    """

    id: str
    title: str
    language: Language
    voice: str | None
    format: str
    characters: int
    chapter_count: int
    created_at: str
    updated_at: str
    author: str = ""
    cover_type: str = ""
    characters_in: int = 0
    characters_spoken: int = 0
    left_out: list[LeftOut] = Field(default_factory=list)
    speed: float = 1.0
    dialogue_voice: str | None = None
    pronunciations: tuple[Pronunciation, ...] = ()

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> Self:
        unset = {name: None for name in ("voice", "dialogueVoice") if not record.get(name)}
        lists = {name: from_json(record.get(name) or "[]") for name in ("leftOut", "pronunciations")}
        return cls.model_validate({**record, **unset, **lists, "speed": record.get("speed") or 1})


class Chapter(Model):
    """One chapter without its text. `outdated`: the audio is of an earlier text, or made in another way than now.

    `confidence`: how sure it is that a chapter begins here; `low` where its heading is but a guess. `voice` and `speed`
    are its own, None where the project's hold; `take` counts how often it was to be said anew.
    """

    id: str
    project_id: str
    position: int
    title: str
    characters: int
    audio_url: str | None
    duration_seconds: float | None
    outdated: bool
    confidence: Literal["high", "low"] = "high"
    voice: str | None = None
    speed: float | None = None
    take: int = 0

    @classmethod
    def from_record(cls, record: Mapping[str, str], project: Project | None = None) -> Self:
        """The chapter of `project`; without it nothing is known of the ways in which it is read."""
        audio = record.get("audio")
        return cls.model_validate(
            {
                **record,
                "audioUrl": audio_url(audio) if audio else None,
                "durationSeconds": record.get("durationSeconds") or None,
                "voice": record.get("voice") or None,
                "speed": record.get("speed") or None,
                "take": record.get("take") or 0,
                "outdated": bool(audio) and record.get("audioText") != record["text"],
            }
        )._beside(project, record.get("audioWays"))

    def _beside(self, project: Project | None, made: str | None) -> Self:
        changed = bool(project and made and self.audio_url and made != ways_of(project, self))
        return self.model_copy(update={"outdated": True}) if changed else self


def ways_of(project: Project, chapter: Chapter) -> str:
    """A digest of all that was chosen for how a chapter is read: audio that was made in another way is outdated."""
    ways = [
        chapter.voice or project.voice,
        chapter.speed or project.speed,
        project.dialogue_voice,
        [one.json_dict() for one in project.pronunciations],
        chapter.take,
    ]
    return hashlib.sha256(compact(ways).encode()).hexdigest()[:20]


def audio_url(name: str) -> str:
    """Where the audio called `name` is to be had."""
    return f"/audios/{name}.mp3"


def new_id() -> str:
    """An id that nobody guesses: 80 random bits in hex."""
    return os.urandom(10).hex()


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


def compact(value: Any) -> str:
    """JSON on one line, with text as it is; line ends and control characters are escaped, so it fits any framing."""
    return to_json(value).decode()
