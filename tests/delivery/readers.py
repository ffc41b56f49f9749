"""Readers that keep their cursors, what they make of what they hear, and what a log has lost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
from httpx_sse import aconnect_sse

from app.core.eventlog.cursor import Cursor, parse
from app.core.eventlog.log import LogEntry
from tests import reducer
from tests.delivery.world import World

Form = Literal["stream", "poll"]

NOWHERE = Cursor(0, 0)


@dataclass
class Reader:
    """A client that keeps its cursor: it reads the stream or polls, and comes back whenever it is cut off.

    `scope`: the projects it has a snapshot of, None for all. `narrow`: the project that it asks for, None for all.
    """

    world: World
    name: str
    credential: dict[str, str]
    form: Form
    web: int
    cursor: Cursor
    jobs: dict[str, reducer.Job]
    scope: frozenset[str] | None
    narrow: str | None
    seen: dict[Cursor, tuple[str, Any]] = field(default_factory=dict)
    resets: list[tuple[Cursor, Cursor]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = self.cursor
        self._task: asyncio.Task[None] | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self.trace.append(f"begins at {self.cursor} with {short(self.jobs)}")

    @property
    def connected(self) -> bool:
        return self._task is not None

    @property
    def frozen(self) -> bool:
        return not self._flows.is_set()

    def freeze(self) -> None:
        """It stays connected and reads nothing."""
        self.trace.append("freezes")
        self._flows.clear()

    def thaw(self) -> None:
        self.trace.append("thaws")
        self._flows.set()

    def connect(self) -> None:
        self.trace.append(f"connects by {self.form} to web {self.web} after {self.cursor}")
        self._task = asyncio.create_task(self._stay_connected())

    async def disconnect(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self.trace.append("disconnects")

    async def reconnect(self, form: Form, web: int) -> None:
        """By another form or to another process, from where it is."""
        await self.disconnect()
        self.form, self.web = form, web
        self.connect()

    async def _stay_connected(self) -> None:
        while True:
            try:
                await (self._stream() if self.form == "stream" else self._poll())
            except httpx.TransportError as error:
                self.trace.append(f"is cut off: {type(error).__name__}")
            except Exception as error:  # a broken reader must tell, not vanish with its task
                self.wrong.append(repr(error))
                raise
            await asyncio.sleep(0.02)

    def _query(self) -> dict[str, str]:
        return {"project": self.narrow} if self.narrow else {}

    async def _stream(self) -> None:
        url = f"{self.world.url(self.web)}/api/events"
        headers = self.credential | {"Last-Event-ID": str(self.cursor)}
        async with aconnect_sse(self.world.http, "GET", url, headers=headers, params=self._query()) as source:
            if not self._accepted(source.response):
                return
            async for event in source.aiter_sse():
                await self._flows.wait()
                self._hear_frame(event.event, event.id, event.json())

    async def _poll(self) -> None:
        url = f"{self.world.url(self.web)}/api/events"
        query = self._query() | {"after": str(self.cursor), "wait": "30"}
        answer = await self.world.http.get(url, headers=self.credential | {"Accept": "application/json"}, params=query)
        await self._flows.wait()
        if not self._accepted(answer):
            return
        told = answer.json()
        for event in told["events"]:
            self._hear(parse(event["id"]), event["type"], event["data"])
        if told["reset"]:
            self._reset(told["reset"])
        self.cursor = parse(told["cursor"])

    def _accepted(self, answer: httpx.Response) -> bool:
        """Whether it may read; while Redis or the process is away it is told to come back."""
        if answer.status_code not in {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}:
            self.wrong.append(f"was answered {answer.status_code}")
        if answer.status_code != httpx.codes.OK:
            self.trace.append(f"is answered {answer.status_code}")
        return answer.status_code == httpx.codes.OK

    def _hear_frame(self, type: str, id: str, data: Any) -> None:
        if type == "ready":
            if data["cursor"] != str(self.cursor):
                self.wrong.append(f"asked for {self.cursor}, ready says {data['cursor']}")
        elif type == "reset":
            self._reset(data)
        elif ":" in type:
            self._hear(parse(id), type, data)
            self.cursor = parse(id)

    def _hear(self, id: Cursor, type: str, data: Any) -> None:
        self.trace.append(f"hears {id} {type} {data['jobId'][:4]} {data.get('progress', {}).get('stage', '')}")
        if id <= max([self.start, *self.seen, *(after for _, after in self.resets)]):
            self.wrong.append(f"{id} is no later than what it had heard")
        if self.narrow and data["projectId"] != self.narrow:
            self.wrong.append(f"{id} is of a project that it did not ask for")
        self.seen[id] = (type, data)
        self.jobs = reducer.apply(self.jobs, {"id": str(id), "type": type, "data": data})

    def _reset(self, snapshot: Any) -> None:
        self.trace.append(f"is reset from {self.cursor} to {snapshot['cursor']} with {len(snapshot['jobs'])} jobs")
        after = parse(snapshot["cursor"])
        if after < self.cursor:
            self.wrong.append(f"was set back from {self.cursor} to {after}")
        self.resets.append((self.cursor, after))
        self.cursor = after
        self.jobs = {job["id"]: job for job in snapshot["jobs"]}

    def picture(self) -> dict[str, reducer.Job]:
        return reducer.picture(self.jobs, self.scope)

    def wants(self, entry: LogEntry) -> bool:
        return self.narrow in {None, entry.project}

    def was_told(self, entry: LogEntry) -> bool:
        """Whether it heard of the event, or got a snapshot in its place."""
        return entry.id in self.seen or any(before < entry.id <= after for before, after in self.resets)

    def story(self) -> str:
        return "\n    ".join([f"{self.name} (of {self.narrow or 'all'}):", *self.trace, *self.wrong])


@dataclass
class Losses:
    """What is gone from a log: how often something went, the last event that did, and where the log last ended."""

    count: int = 0
    removed: Cursor = NOWHERE
    ended: Cursor = NOWHERE

    def explain(self, cursor: Cursor) -> bool:
        """Whether what follows the cursor cannot be known any more."""
        return cursor < self.removed or cursor <= self.ended


def jobs_of(project: dict[str, Any]) -> list[reducer.Job]:
    return [holder["job"] for holder in (project, *project["chapters"]) if holder["job"]]


def short(jobs: dict[str, reducer.Job]) -> str:
    return ", ".join(f"{id[:4]} {job['state']} #{job['attempt']} at {job['version']}" for id, job in jobs.items())
