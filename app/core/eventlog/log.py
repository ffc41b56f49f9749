"""The event log: one append-only Redis stream for each user, written by one script, read from any cursor."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import count
from types import MappingProxyType
from typing import Literal, NamedTuple

from redis.asyncio import Redis, RedisCluster

from app.core.errors import Refused
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.worker_capacity import WorkerCapacity
from app.core.redis import keys
from app.core.redis.multiplexed import ask, ask_all
from app.core.settings import Settings
from app.core.telemetry.metrics import PUBLISHED, labelled
from app.core.vocabulary import Queue

Guard = Literal["new", "claim", "report", "command"]

PUSH = files("app.core.eventlog").joinpath("lua/push.lua").read_text()
"""Lua to put before each script that appends to a log (see `EventLog.pushing`)."""

TOP = files("app.core.eventlog").joinpath("lua/top.lua").read_text()
"""Lua to put before each script that returns where a log ends; its keys are the log and the user's hash."""

LEASE = files("app.core.eventlog").joinpath("lua/lease.lua").read_text()
"""Lua to put before each script that writes of a job."""

LINE = files("app.core.eventlog").joinpath("lua/line.lua").read_text()
"""Lua to put before each script that lets jobs out of their user's queue."""

_ENDED = files("app.core.eventlog").joinpath("lua/ended.lua").read_text()
_APPEND = PUSH + LEASE + LINE + _ENDED + files("app.core.eventlog").joinpath("lua/append.lua").read_text()
_REPORT = PUSH + LEASE + files("app.core.eventlog").joinpath("lua/report.lua").read_text()
_LOOK = TOP + files("app.core.eventlog").joinpath("lua/look.lua").read_text()
_FALLEN = files("app.core.eventlog").joinpath("lua/fallen.lua").read_text()
_TYPE = re.compile(r"[a-z]+:[a-z]+")


class LogEntry(NamedTuple):
    """One event of the log.

    `line` is `<id> <type> <project> <job> <kind>`, taken apart only where a part is needed: most events are passed on
    as they are. `data` is JSON, passed on as it was written.
    """

    line: bytes
    data: bytes

    @classmethod
    def from_push(cls, message: bytes) -> tuple[Cursor, LogEntry]:
        """Return the entry that the appending script published as `<line>\n<data>`, and its id."""
        line, _, data = message.partition(b"\n")
        epoch, _, seq = line.partition(b" ")[0].partition(b"-")
        return Cursor(int(epoch), int(seq)), cls(line, data)

    @property
    def id(self) -> Cursor:
        return cursor_of(self.line.partition(b" ")[0])

    @property
    def type(self) -> str:
        return self.line.split(b" ", 2)[1].decode()

    @property
    def project(self) -> str:
        return self.line.split(b" ", 3)[2].decode()

    @property
    def job(self) -> str:
        return self.line.split(b" ", 4)[3].decode()

    @property
    def thin(self) -> bool:
        """Whether it is progress within a stage: of a long backlog only the latest of each job need be sent."""
        return self.line.endswith(b" thin")


class Event(NamedTuple):
    """An event to be appended; `data` is JSON."""

    type: str
    data: str
    thin: bool = False


class JobWrite(NamedTuple):
    """One call of the appending script, for one job of `queue`.

    Args:
        owner: what the job makes: `manuscript`, `book` or a chapter's id.
        attempt: the attempt that the writer holds; with guard `claim` the attempt and the state that it saw.
        grace_seconds: time after which the job may be taken over.
        fields: what changes in the job's hash.
        records: what changes with it in other hashes of the same user, by key.
    """

    user: str
    project: str
    job: str
    queue: Queue
    owner: str
    guard: Guard
    attempt: str
    events: Sequence[Event]
    fields: Mapping[str, str]
    ends: bool = False
    grace_seconds: float = 0
    records: Mapping[str, Mapping[str, str]] = MappingProxyType({})


class Appended(NamedTuple):
    """`version`: id of the last event. `existing`: the open job that prevented a new one.

    `go`: ids of jobs that may now be handed to the workers.
    """

    version: str
    existing: str | None = None
    go: tuple[str, ...] = ()


class Page(NamedTuple):
    """Entries past a cursor, oldest first. `whole`: nothing between cursor and entries is missing. `top`: where the log
    ends; None where there may be more of it than the page holds."""

    entries: list[LogEntry]
    whole: bool
    top: Cursor | None


class EventLog:
    """The logs of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings, capacity: WorkerCapacity | None = None) -> None:
        """`capacity` says how many jobs of a user are with the workers at once; without it the settings do."""
        self._redis = redis
        self._settings = settings
        self._capacity = capacity or WorkerCapacity(redis, settings)
        self._append = redis.register_script(_APPEND)
        self._report = redis.register_script(_REPORT)
        # A nonce for each write, so that one that is sent again is recognised.
        self._writer, self._writes = secrets.token_hex(8), count()
        # Arguments that are the same for each write.
        self._log_length, self._log_ttl = str(settings.log_length), str(_ms(settings.log_days * 86400))
        self._job_ttl = str(_ms(settings.job_days * 86400))
        self._look = redis.register_script(_LOOK)
        self._fallen = redis.register_script(_FALLEN)
        self._publish = "SPUBLISH" if isinstance(redis, RedisCluster) else "PUBLISH"

    async def append(self, write: JobWrite) -> Appended:
        """Append the events of `write` and all that changes with them, in one step.

        Raises ValueError for an event that is too large or would break its framing; Refused with the reason `gone` (job
        or project deleted), `final` (the job has ended), `stale` (another attempt took over), `leased` (another worker
        is at it) or `full` (too many open jobs); RedisError.
        """
        for event in write.events:
            self._check(event)
        if write.guard == "report" and len(write.events) == 1 and not write.ends and not write.records:
            script, named, told = self._report, _report_keys(write), self._report_arguments(write)
        else:
            script, named, told = self._append, _append_keys(write), self._append_arguments(write)
        answer, value, *go = await script(keys=named, args=told)
        if answer == b"refused":
            raise Refused(value.decode())
        if answer == b"existing":
            return Appended("", existing=value.decode())
        for event in write.events:
            labelled(PUBLISHED, event.type).inc()
        return Appended(value.decode(), go=tuple(id.decode() for id in go))

    @property
    def capacity(self) -> WorkerCapacity:
        """The number of jobs of each queue that may be with the workers at once."""
        return self._capacity

    def pushing(self, user: str, data: str) -> list[str | int]:
        """Return the arguments of `push` for another script: data, channel, command, and the log's length and
        lifetime."""
        return [data, *self._pushed(user)]

    async def read(self, user: str, after: Cursor, count: int) -> Page:
        """Read at most `count` entries past `after`, and whether they follow it without a gap."""
        # Behind an event the entries alone are enough: they say which follows it and, if there are fewer than asked
        # for, where the log ends. A script costs Redis several times as much.
        if after.seq and (rows := await ask(self._redis, "XRANGE", keys.log(user), f"({after}", "+", "COUNT", count)):
            entries = [_entry(id, fields) for id, fields in rows]
            return Page(entries, after.precedes(entries[0].id), None if len(rows) == count else entries[-1].id)
        last, before, rows = await self._look(keys=[keys.log(user), keys.user(user)], args=[f"({after}", count])
        entries, top = [_entry(id, fields) for id, fields in rows], cursor_of(last)
        return Page(entries, _whole(after, entries, top, int(before)), top)

    async def top(self, user: str) -> Cursor:
        """Return the cursor of the latest event, or the one before the first event of an empty log."""
        last, *_ = await self._look(keys=[keys.log(user), keys.user(user)], args=["+", 1])
        return cursor_of(last)

    async def fallen_back(self, user: str, told: Cursor) -> None:
        """Mark a log that ends before `told`, an event that was read from it: its server lost what it had not saved.

        The next event then begins a new epoch, so that no id is used again for another event.
        """
        await self._fallen(keys=[keys.log(user), keys.user(user)], args=[told.epoch, told.seq])

    async def tops(self, users: Sequence[str]) -> list[Cursor | None]:
        """Return the ids of the latest events of many logs, None for each empty one."""
        commands = [("XREVRANGE", keys.log(user), "+", "-", "COUNT", "1") for user in users]
        return [cursor_of(row[0][0]) if row else None for row in await ask_all(self._redis, commands)]

    def _check(self, event: Event) -> None:
        most = self._settings.max_event_bytes
        # A character has at most four bytes.
        if len(event.data) * 4 > most and len(event.data.encode()) > most:
            raise ValueError(f"an event of type {event.type} has more than {most} bytes")
        if not _is_type(event.type) or "\n" in event.data or "\r" in event.data:
            raise ValueError(f"an event of type {event.type!r} would break its framing: write it as JSON on one line")

    def _report_arguments(self, write: JobWrite) -> list[str | int]:
        [event] = write.events
        return [
            write.attempt,
            self._nonce(),
            f"{write.project} {write.job}",
            _ms(write.grace_seconds),
            *self._pushed(write.user),
            event.type,
            _kind(event),
            event.data,
            *_flat(write.fields),
        ]

    def _append_arguments(self, write: JobWrite) -> list[str | int]:
        events = [item for event in write.events for item in (event.type, _kind(event), event.data)]
        return [
            write.guard,
            write.attempt,
            self._nonce(),
            write.job,
            write.owner,
            "ends" if write.ends else "",
            _ms(write.grace_seconds),
            self._limits(write.queue),
            *self._pushed(write.user),
            self._job_ttl,
            *_sized(events),
            *_sized(_flat(write.fields)),
            *(item for record in write.records.values() for item in _sized(_flat(record))),
        ]

    def _limits(self, queue: Queue) -> str:
        """The bounds as the scripts take them: open jobs of a user, jobs of a queue with the workers, ms until the
        reaper takes up a job that nobody began, and ended jobs."""
        settings = self._settings
        patience, most_ended = _ms(settings.requeue_seconds), settings.max_ended_jobs
        return f"{settings.max_open_jobs} {self._capacity.share(queue)} {patience} {most_ended}"

    def _nonce(self) -> str:
        return f"{self._writer}-{next(self._writes)}"

    def _pushed(self, user: str) -> tuple[str, str, str, str]:
        """Where a script pushes to: channel, command, the log's length and lifetime."""
        return keys.channel(user), self._publish, self._log_length, self._log_ttl


def _report_keys(write: JobWrite) -> list[str]:
    user = write.user
    return [keys.log(user), keys.job(user, write.job), keys.open_jobs(user), keys.user(user)]


def _append_keys(write: JobWrite) -> list[str]:
    user, project = write.user, write.project
    return [
        *_report_keys(write),
        keys.project(user, project),
        keys.project_jobs(user, project),
        keys.all_project_jobs(user, project),
        keys.line(user, write.queue),
        keys.out_of_line(user, write.queue),
        *write.records,
    ]


@lru_cache(maxsize=100)
def _is_type(type: str) -> bool:
    return bool(_TYPE.fullmatch(type))


def _kind(event: Event) -> str:
    return "thin" if event.thin else "full"


def _entry(id: bytes, fields: Sequence[bytes] | Mapping[bytes, bytes]) -> LogEntry:
    """Make an entry of what the log stores: its head under `h`, its data under `d` (see `append.lua`)."""
    head, data = fields.values() if isinstance(fields, Mapping) else (fields[1], fields[3])
    return LogEntry(b"%b %b" % (id, head), data)


def cursor_of(id: bytes) -> Cursor:
    """Parse an id as Redis writes it."""
    epoch, _, seq = id.partition(b"-")
    return Cursor(int(epoch), int(seq))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _flat(record: Mapping[str, str]) -> list[str]:
    return [item for pair in record.items() for item in pair]


def _sized(items: list[str]) -> list[str | int]:
    return [len(items), *items]


def _whole(after: Cursor, entries: list[LogEntry], top: Cursor, before: int) -> bool:
    """Return whether nothing is missing between `after` and `entries`, in a log whose predecessor had the epoch
    `before`."""
    if after.seq == 0 and before and after.epoch <= before:
        # A cursor before a log's first event, but of the earlier log, whose events are gone.
        return False
    if entries:
        return after.precedes(entries[0].id)
    return after == top if top.seq else after.seq == 0 and after.epoch <= top.epoch
