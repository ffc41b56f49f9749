"""Snapshots: the state of a reader's jobs and the cursor that belongs to it, made in parts as its readers take them.

A snapshot of thousands of jobs has megabytes, and many readers of one user ask for one at once, as after a log was
lost. So the readers of one user share one snapshot, each part of which is made once, when the first of them comes to
it; and all snapshots of a process together keep no more than `ROOM` bytes. Beyond that a reader gets a snapshot of its
own, of which nothing is kept: it costs Redis more, and the process no more than a part.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.packed_ids import PackedIds
from app.core.projects.service import Projects

ROOM = 32 * 1024 * 1024
"""Bytes that the shared snapshots of a process may keep."""

_JOBS_EACH = 50
_NEAR = 500
"""So many events past its cursor, a snapshot is still taken by who asks for one now."""

Key = tuple[str, frozenset[str]]


class Snapshots:
    """The snapshots of all users in one process."""

    def __init__(self, log: EventLog, shelf: Projects, jobs: Jobs, *, room: int = ROOM) -> None:
        self._log = log
        self._shelf = shelf
        self._jobs = jobs
        self._room = room
        self._latest: dict[Key, Snapshot] = {}
        self.kept = 0
        """Bytes that are kept."""

    @asynccontextmanager
    async def reading(
        self, user: str, projects: Collection[str] = (), gone: Cursor | None = None
    ) -> AsyncIterator[Snapshot]:
        """A snapshot of the user's jobs, of all projects or of those named, to be read while the context is open.

        `gone`: a cursor that the log no longer follows; no snapshot has it. Raises RedisError.
        """
        key = (user, frozenset(projects))
        # The cursor first: what happens meanwhile is then told once more, never missed.
        top = await self._log.top(user)
        found = self._latest.get(key)
        if found is None or found.cursor == gone or not _near(found.cursor, top):
            # Nothing is waited for here, so that who comes at the same time finds it.
            source = _Source(self._shelf, self._jobs, user, projects)
            found = Snapshot(top, source, self, shares=self.kept < self._room)
            if found.shares:
                self._latest[key] = found
        found.readers += 1
        try:
            yield found
        finally:
            found.readers -= 1
            if not found.readers:
                self._let_go(key, found)

    def _let_go(self, key: Key, snapshot: Snapshot) -> None:
        self.kept -= snapshot.drop()
        if self._latest.get(key) is snapshot:
            del self._latest[key]


class Snapshot:
    """The latest job of everything that can be made. Events past `cursor` bring it up to date."""

    def __init__(self, cursor: Cursor, source: _Source, owner: Snapshots, *, shares: bool) -> None:
        self.cursor = cursor
        self.shares = shares
        self.readers = 0
        self._source = source
        self._owner = owner
        self._lock = asyncio.Lock()
        self._parts: list[bytes] = []
        self._begun = self._has_jobs = self._ended = False

    async def part(self, number: int) -> bytes:
        """The part of that number, from 0, to be asked for one after the other; empty where there are no more.

        The parts together are the JSON document `{"cursor", "jobs"}` on one line. Raises RedisError, after which the
        same part may be asked for again.
        """
        async with self._lock:
            return self._parts[number] if number < len(self._parts) else await self._next()

    async def parts(self) -> AsyncIterator[bytes]:
        """All parts, one after the other. Raises RedisError."""
        number = 0
        while part := await self.part(number):
            yield part
            number += 1

    def drop(self) -> int:
        """Forgets its parts, which nobody reads any more; how many bytes they had."""
        size = sum(map(len, self._parts))
        self._parts = []
        return size

    async def _next(self) -> bytes:
        if self._ended:
            return b""
        told = await self._source.next()
        head = b"" if self._begun else b'{"cursor":"%s","jobs":[' % str(self.cursor).encode()
        between = b"," if told and self._has_jobs else b""
        self._begun, self._has_jobs, self._ended = True, self._has_jobs or told is not None, told is None
        part = head + between + (b"]}" if told is None else told)
        if self.shares:
            self._parts.append(part)
            self._owner.kept += len(part)
        return part


class _Source:
    """The jobs of some projects, or of all where none is named, as JSON, a batch at a time."""

    def __init__(self, shelf: Projects, jobs: Jobs, user: str, projects: Collection[str]) -> None:
        self._shelf = shelf
        self._jobs = jobs
        self._user = user
        self._projects = PackedIds(projects) if projects else None
        self._left = PackedIds(())

    async def next(self) -> bytes | None:
        """The next batch; None where there are no more. One that failed is made again by the next call."""
        if self._projects is None:
            self._projects = PackedIds(await self._shelf.ids(self._user))
        while True:
            while not self._left:
                if not self._projects:
                    return None
                [project], rest = self._projects.divided(1)
                self._left = PackedIds((await self._jobs.latest_ids(self._user, project)).values())
                self._projects = rest
            batch, rest = self._left.divided(_JOBS_EACH)
            found = await self._jobs.find_all(self._user, batch)
            self._left = rest
            if told := ",".join(job.json_text() for job in found if job is not None):
                return told.encode()


def _near(cursor: Cursor, top: Cursor) -> bool:
    """Whether a snapshot at `cursor` is of the same log, and not far behind its `top`."""
    return cursor.epoch == top.epoch and 0 <= top.seq - cursor.seq <= _NEAR
