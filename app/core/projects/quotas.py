"""What each user has: projects, chapters and bytes in the storage, within bounds that hold against races.

What is to be made is reserved first, and counts from then on. A reservation is renewed as long as whoever made it
lives, and lapses by itself where they died; what a crash left uncounted, the sweeper counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.aio import cancel_and_wait
from app.core.errors import TooMany
from app.core.ids import new_id
from app.core.redis import keys
from app.core.settings import Settings

_USAGE = files("app.core.projects").joinpath("lua/quotas.lua").read_text()
_LEASE = 30.0


class Used(NamedTuple):
    """What a user has; `bytes` of manuscripts, texts, audio and books, `segment_bytes` of sound that is kept.

    `changes`: how often it has changed, for `Quotas.recount`.
    """

    projects: int
    chapters: int
    bytes: int
    segment_bytes: int
    changes: int


class Quotas:
    """The usage of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._script = redis.register_script(_USAGE)
        self.most = (settings.max_projects, settings.max_chapters_per_user, settings.max_storage_bytes_per_user)
        self._most_segments = settings.max_segment_bytes_per_user

    @asynccontextmanager
    async def room(
        self, user: str, *, projects: int = 0, chapters: int = 0, bytes: int = 0
    ) -> AsyncIterator[Reservation]:
        """Room for so much more, which is given back with the context unless it was settled.

        Raises TooMany (`too_many_projects`, `too_many_chapters_in_all`, `storage_full`), RedisError.
        """
        id = new_id()
        more = (projects, chapters, max(0, bytes))
        answer = (await self.run(user, "", "reserve", id, *more, int(_LEASE * 1000), *self.most)).decode()
        if answer != "ok":
            raise _refusal(answer)
        room = Reservation(self, user, id)
        renewing = asyncio.create_task(self._renew(user, id))
        try:
            yield room
        finally:
            await cancel_and_wait(renewing)
            if not room.settled:
                with suppress(RedisError, OSError):
                    await asyncio.shield(self.run(user, "", "release", id))

    async def check(self, user: str, bytes: int) -> None:
        """Raises TooMany (`storage_full`) where there is no room for so many bytes more just now."""
        async with self.room(user, bytes=bytes):
            pass

    async def add(self, user: str, project: str, *, chapters: int = 0, bytes: int = 0) -> None:
        """Counts so much more, or less, that was done already."""
        await self.run(user, project, "settle", "-", project, chapters, bytes)

    async def forget(self, user: str, project: str) -> None:
        """The project is no more."""
        await self.run(user, project, "forget", "-", project)

    async def recount(self, user: str, project: str, *, chapters: int, bytes: int, changes: int) -> None:
        """Sets what a project was found to have, unless anything was counted since the user's `changes` were read."""
        await self.run(user, project, "recount", "-", project, chapters, bytes, changes)

    async def of(self, user: str) -> Used:
        """What the user has."""
        return Used(*(await self.run(user, "", "of", "-")))

    async def add_segment(self, user: str, project: str, bytes: int) -> bool:
        """Counts the sound of a segment that is to be kept; False where the user's have no room for it."""
        told = ("segment", "-", project, bytes, self._most_segments)
        return bool(await self.run(user, project, *told) == b"ok")

    async def set_segments(self, user: str, project: str, bytes: int) -> None:
        """Sets how many bytes a project's segments were found to have."""
        await self.run(user, project, "segments", "-", project, bytes)

    async def run(self, user: str, project: str, *told: str | int) -> Any:
        """Runs the script (see `usage.lua`)."""
        about = keys.project(user, project)
        names = [keys.projects(user), keys.usage(user), keys.reserved(user), about]
        return await self._script(keys=names, args=list(told))

    async def _renew(self, user: str, id: str) -> None:
        while True:
            await asyncio.sleep(_LEASE / 3)
            with suppress(RedisError, OSError):
                await self.run(user, "", "renew", id, int(_LEASE * 1000))


class Reservation:
    """What is reserved, until it is settled. All raise RedisError."""

    def __init__(self, usage: Quotas, user: str, id: str) -> None:
        self._usage = usage
        self._user = user
        self._id = id
        self.settled = False

    async def settle(self, project: str, *, chapters: int = 0, bytes: int = 0) -> None:
        """The project has so much more, or less, now."""
        await self._settle(project, "settle", project, chapters, bytes)

    async def exact(self, project: str, *, chapters: int, bytes: int) -> None:
        """The project has so much in all now."""
        await self._settle(project, "exact", project, chapters, bytes)

    async def create(self, project: str, record: Mapping[str, str], score: int, bytes: int) -> None:
        """The project is there now, with this record and so many bytes, all in one step."""
        items = [item for pair in record.items() for item in pair]
        await self._settle(project, "create", project, bytes, score, *items)

    async def _settle(self, project: str, verb: str, *told: str | int) -> None:
        await self._usage.run(self._user, project, verb, self._id, *told)
        self.settled = True


def _refusal(bound: str) -> TooMany:
    if bound == "projects":
        return TooMany("You have too many projects; delete some first.", code="too_many_projects")
    if bound == "chapters":
        return TooMany(
            "Your projects have too many chapters; delete some projects first.", code="too_many_chapters_in_all"
        )
    return TooMany("Your storage is full; delete some projects first.", code="storage_full")
