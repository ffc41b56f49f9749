"""Books: what a project's chapters become when they are put together, and whether one is still of their present."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from app.core.json_model import Model, compact
from app.core.projects.models import Chapter, Project
from app.core.redis import keys
from app.core.timestamps import now
from app.core.vocabulary import BookFormat

FORMATS: tuple[BookFormat, ...] = get_args(BookFormat)
MAX_NAMED = 1000
"""So many chapters that a book lacks are named in it at most."""
_DIGEST_CHARACTERS = 20
# Raise this with every change that makes another book of the same chapters.
_EDITION = 1


class Book(Model):
    """A book that was put together. `chapters`: how many are in it; `missing`: the positions of those that had no
    audio; `outdated`: there is other audio by now, or another title."""

    format: BookFormat
    download_url: str
    bytes: int
    duration_seconds: float
    chapters: int
    missing: list[int]
    outdated: bool
    created_at: str


def having_audio(chapters: Iterable[Chapter]) -> list[Chapter]:
    """Those that can go into a book."""
    return [chapter for chapter in chapters if chapter.audio_url]


class Contents:
    """20 hexadecimal digits that differ wherever a book of a project's chapters would, which are added in order."""

    def __init__(self, project: Project) -> None:
        parts = [_EDITION, project.title, project.author, project.language, project.cover_type]
        # The digest of `[parts, sounds]` as JSON, without holding all of the sounds.
        self._hash = hashlib.sha256(f"[{json.dumps(parts)}, [".encode())
        self._between = b""

    def add(self, chapters: Iterable[Chapter]) -> None:
        for chapter in having_audio(chapters):
            sound = json.dumps([chapter.position, chapter.title, chapter.audio_url])
            self._hash.update(self._between + sound.encode())
            self._between = b", "

    def digits(self) -> str:
        """To be asked for once all chapters were added."""
        self._hash.update(b"]]")
        return self._hash.hexdigest()[:_DIGEST_CHARACTERS]


def contents(project: Project, chapters: Sequence[Chapter]) -> str:
    """The digits of `Contents` with these chapters."""
    found = Contents(project)
    found.add(chapters)
    return found.digits()


def name_of(project: Project, chapters: Sequence[Chapter]) -> str:
    """What the book of these chapters is called, in every format."""
    return f"{project.id}-{contents(project, chapters)}"


def url_of(name: str, format: BookFormat) -> str:
    """Where a book is to be had."""
    return f"/books/{name}.{format}"


def result_of(name: str, format: BookFormat, size: int, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """What is told of a book of `size` bytes that was made of these chapters."""
    there = having_audio(chapters)
    missing = [chapter.position for chapter in chapters if not chapter.audio_url]
    return {
        "downloadUrl": url_of(name, format),
        "bytes": size,
        "durationSeconds": round(sum(chapter.duration_seconds or 0 for chapter in there), 3),
        "chapters": len(there),
        "missing": missing[:MAX_NAMED],
    }


def record(user: str, project: str, format: BookFormat, result: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """What changes in a project when a book is there."""
    return {keys.project(user, project): {_field(format): compact({**result, "format": format, "createdAt": now()})}}


def books_of(project: Mapping[str, str], present: str) -> list[Book]:
    """The books that a project's hash names; `present` is what its chapters' contents are now."""
    told = [json.loads(project[_field(format)]) for format in FORMATS if _field(format) in project]
    return [Book.model_validate({**one, "outdated": f"-{present}." not in one["downloadUrl"]}) for one in told]


def _field(format: BookFormat) -> str:
    return f"book.{format}"
