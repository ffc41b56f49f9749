"""Projects and chapters as they are stored and sent."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field
from pydantic_core import from_json

from app.core.json_model import Model, compact
from app.core.vocabulary import Language


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
        changed = bool(project and made and self.audio_url and made != voice_settings_digest(project, self))
        return self.model_copy(update={"outdated": True}) if changed else self


def voice_settings_digest(project: Project, chapter: Chapter) -> str:
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
