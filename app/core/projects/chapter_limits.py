"""How long chapters and projects may be, and changes to a chapter that keep to it, whoever else changes another.

The parser cuts longer chapters (`workers.manuscript.splitter_program`); splitting makes none longer; merging and
editing come by here. What is too long already, from before there were bounds, may become shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from redis.asyncio import Redis

from app.core.errors import Conflict, NotFound, Unprocessable
from app.core.redis import keys
from app.core.redis.client import fields
from app.core.settings import Settings

_CHANGE_CHAPTER = files("app.core.projects").joinpath("lua/change_chapter.lua").read_text()


class ChapterStore:
    """Changes to single chapters of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._settings = settings
        self._change = redis.register_script(_CHANGE_CHAPTER)

    def check_length(self, text: str, before: int = 0) -> None:
        """Raises Unprocessable (`chapter_too_long`) where `text` is too long, and longer than `before`."""
        most = self._settings.max_chapter_characters
        if len(text) > max(most, before):
            raise Unprocessable(f"A chapter may have {most} characters.", code="chapter_too_long")

    async def change(self, user: str, project: str, chapter: str, changes: Mapping[str, str]) -> None:
        """Sets fields of a chapter; with `characters`, the project has so many more or fewer.

        Raises NotFound, Conflict (`chapter_busy`), Unprocessable (`too_many_characters`).
        """
        names = [
            keys.project(user, project),
            keys.chapter(user, chapter),
            keys.project_jobs(user, project),
            keys.open_jobs(user),
        ]
        items = [item for pair in fields(changes).items() for item in pair]
        told = [changes.get("characters", ""), self._settings.max_characters, *items]
        check((await self._change(keys=names, args=told)).decode(), self._settings)


def check(answer: str, settings: Settings) -> None:
    """Raises what a script's answer means: NotFound, Conflict, Unprocessable."""
    if answer == "gone":
        raise NotFound("There is no such chapter.")
    if answer == "busy":
        raise Conflict("This is being worked at; wait until it is done, or cancel it.", code="chapter_busy")
    if answer == "changed":
        raise Conflict("The chapter has been changed meanwhile; look at it again.", code="chapter_changed")
    if answer == "crowded":
        raise Unprocessable("The project has as many chapters as it may have.", code="too_many_chapters")
    if answer == "full":
        raise Unprocessable(
            f"A project may have {settings.max_characters} characters in all its chapters.", code="too_many_characters"
        )
