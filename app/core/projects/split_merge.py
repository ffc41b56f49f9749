"""Chapters split in two and merged with the one before: texts first, then everything else in one step of Redis.

Whoever dies after the texts leaves objects that nothing names, which go with the project.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import NamedTuple

from redis.asyncio import Redis

from app.core.errors import Conflict
from app.core.eventlog.log import PUSH, EventLog
from app.core.json_model import compact
from app.core.projects.chapter_limits import check
from app.core.projects.text_lengths import numbered
from app.core.redis import keys
from app.core.settings import Settings
from app.core.timestamps import now

_REARRANGE = PUSH + files("app.core.projects").joinpath("lua/split_merge.lua").read_text()
_MAX_HEADING = 80  # characters
_STATEMENT_ENDS = tuple("。，；;,.")
_NUMBERED = re.compile(r" \(\d+\)$")
Record = Mapping[str, str]


class Halves(NamedTuple):
    """A chapter's text in two, and what the second one is called."""

    first: str
    title: str
    second: str


class SplitMerge:
    """Writes what `halves` and `together` made."""

    def __init__(self, redis: Redis, log: EventLog, settings: Settings) -> None:
        self._log = log
        self._settings = settings
        self._rearrange = redis.register_script(_REARRANGE)

    async def split(self, user: str, before: Record, first: Record, second: Record) -> None:
        """Puts `first` in the place of the chapter `before`, and `second` behind it; once only for one id.

        Raises as `merge` does, and Unprocessable (`too_many_chapters`).
        """
        more = int(first["characters"]) + int(second["characters"]) - int(before["characters"])
        await self._run(user, "split", before, second["id"], "", more, [first, second])

    async def merge(self, user: str, before: Record, gone: Record, whole: Record) -> None:
        """Puts `whole` in the place of the chapter `before`; the chapter `gone`, which follows it, is no more.

        Raises NotFound; Conflict: `chapter_busy` where a job is open for one of them, `chapter_changed` where one of
        them is not as it was read; Unprocessable (`too_many_characters`).
        """
        more = int(whole["characters"]) - int(before["characters"]) - int(gone["characters"])
        await self._run(user, "merge", before, gone["id"], gone["text"], more, [whole])

    async def _run(
        self, user: str, verb: str, stays: Record, other: str, digest: str, more: int, records: list[Record]
    ) -> None:
        project, at = stays["projectId"], now()
        names = [
            keys.log(user),
            keys.user(user),
            keys.project(user, project),
            keys.chapters(user, project),
            keys.project_jobs(user, project),
            keys.open_jobs(user),
            keys.chapter(user, stays["id"]),
            keys.chapter(user, other),
        ]
        gone = [other] if verb == "merge" else []
        told = self._log.pushing(user, compact({"projectId": project, "at": at, "gone": gone}))
        seen = [verb, stays["id"], other, stays["text"], digest]
        items = [item for record in records for item in (str(len(record) * 2), *_flat(record))]
        limits = f"{self._settings.max_chapters} {self._settings.max_characters}"
        arguments = [*seen, more, at, limits, *told, records[0]["text"], *items]
        check((await self._rearrange(keys=names, args=arguments)).decode(), self._settings)


def halves(text: str, title: str, offset: int) -> Halves:
    """`text` divided where the line begins that holds the character number `offset`.

    A short line that does not end like a statement is the second half's title; else it is called as the first is.
    Raises Conflict (`nothing_to_split`) where one of them would have nothing to read.
    """
    start = text.rfind("\n", 0, offset) + 1 if offset < len(text) else len(text)
    first, second = text[:start].strip("\n"), text[start:].strip("\n")
    line, _, rest = second.partition("\n")
    heading = line.strip()
    if heading and len(heading) <= _MAX_HEADING and not heading.endswith(_STATEMENT_ENDS) and _readable(rest):
        title, second = heading, rest.strip("\n")
    else:
        title = numbered(_NUMBERED.sub("", title), 2)
    if not _readable(first) or not _readable(second):
        raise Conflict("There is nothing to read on one side of this place.", code="nothing_to_split")
    return Halves(first, title, second)


def together(text: str, title: str, more_title: str, more: str) -> str:
    """Two chapters' texts as one. The second's title becomes a line of it, unless it only counts on from the first."""
    counted = _NUMBERED.search(more_title) and _NUMBERED.sub("", more_title) == _NUMBERED.sub("", title)
    return "\n\n".join([text, more] if counted else [text, more_title, more])


def _readable(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _flat(record: Record) -> list[str]:
    return [item for pair in record.items() for item in pair]
