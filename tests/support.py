"""Small things that many tests need: waiting for a condition, a client that speaks SmartVoice, a worker's part."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from app.core.jobs.progress import progress
from app.core.jobs.service import Claim, Jobs
from app.core.projects.service import ParsedChapter, Projects
from app.core.vocabulary import Queue

PATIENCE_SECONDS = 20.0

_SOONEST, _LATEST = 0.01, 0.2  # seconds after which a condition is looked at again
_PAUSE = 5  # times as long as looking took


async def until(condition: Callable[[], Any] | Callable[[], Awaitable[Any]], timeout: float = PATIENCE_SECONDS) -> Any:
    """What `condition` returns as soon as it is true; an AssertionError where it never is.

    The longer it takes to look, the seldomer it is looked: waiting must not take the processor from what is waited for.
    """
    deadline = time.monotonic() + timeout
    while True:
        looked = time.monotonic()
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return found
        now = time.monotonic()
        assert now < deadline, f"not within {timeout} s: {condition}"
        await asyncio.sleep(min(max(_SOONEST, _PAUSE * (now - looked)), _LATEST))


class NoDispatcher:
    """Where a test has no workers: jobs are handed to nobody."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.rung: list[bool] = []

    async def enqueue(self, queue: Queue, user: str, job: str, *, notify: bool = True) -> None:
        self.told.append((user, job))
        self.rung.append(notify)


class Stream:
    """An open event stream, read by a parser that is not ours."""

    def __init__(self, source: AsyncIterator[ServerSentEvent]) -> None:
        self._source = source

    async def next(self, *types: str) -> ServerSentEvent:
        """The next event but heartbeats; the next of `types` where any are given."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for event in self._source:
                if event.event in types or (not types and event.event != "heartbeat"):
                    return event
        raise AssertionError("the stream ended")

    async def until(self, last: str) -> list[ServerSentEvent]:
        """All events but heartbeats up to and with the first of type `last`."""
        seen = [await self.next()]
        while seen[-1].event != last:
            seen.append(await self.next())
        return seen

    async def ends(self) -> list[ServerSentEvent]:
        """What is left until the server ends the stream."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [event async for event in self._source]


@dataclass(frozen=True)
class Client:
    """Somebody who is signed in."""

    http: httpx.AsyncClient

    @asynccontextmanager
    async def stream(self, **options: Any) -> AsyncIterator[Stream]:
        """`GET /api/events` as SSE; `options` are httpx's."""
        async with aconnect_sse(self.http, "GET", "/api/events", **options) as source:
            assert source.response.status_code == httpx.codes.OK, (await source.response.aread()).decode()
            yield Stream(source.aiter_sse())

    async def poll(self, **query: Any) -> dict[str, Any]:
        """`GET /api/events` as long poll."""
        answer = await self.http.get("/api/events", params=query, headers={"Accept": "application/json"})
        assert answer.status_code == httpx.codes.OK, answer.text
        return dict(answer.json())

    async def create(self, text: str = "Hello, world.", **more: Any) -> dict[str, Any]:
        """A project from `text`, as the API answers it."""
        answer = await self.http.post("/api/projects", json={"text": text, **more})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return dict(answer.json())

    async def project(self, id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/api/projects/{id}")
        assert answer.status_code == httpx.codes.OK, answer.text
        return dict(answer.json())

    async def narrate(self, project: str, chapter: str) -> dict[str, Any]:
        answer = await self.http.post(f"/api/projects/{project}/chapters/{chapter}/audio")
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return dict(answer.json())


@dataclass(frozen=True)
class HandWorker:
    """Does a worker's part step by step, so that a test can look between the steps."""

    jobs: Jobs
    projects: Projects

    async def parse(self, user: str, job: dict[str, Any], chapters: int = 1) -> None:
        """Ends a parse job with so many chapters."""
        claim = await self.jobs.claim(user, job["id"], "read")
        parsed = [ParsedChapter(f"Chapter {number}", f"Text {number}.") for number in range(1, chapters + 1)]
        records = await self.projects.add_chapters(claim, parsed)
        await self.jobs.complete(claim, {"chapters": chapters, "characters": 7 * chapters}, records)

    async def start(self, user: str, job: dict[str, Any]) -> Claim:
        """Takes a narration."""
        return await self.jobs.claim(user, job["id"], "start")

    async def advance(self, claim: Claim, done: int, total: int) -> str:
        """Reports progress within the synthesis."""
        told = progress(claim.job.queue, "synthesis", claim.language, done=done, total=total)
        return await self.jobs.report(claim, told, thin=done > 0)

    async def finish(self, claim: Claim) -> None:
        """Ends a narration well."""
        await self.jobs.complete(claim, {"audioUrl": "/audios/x.mp3", "durationSeconds": 1.5}, {})


def data(event: ServerSentEvent | dict[str, Any]) -> dict[str, Any]:
    """The data of an event, from either form."""
    found = event["data"] if isinstance(event, dict) else json.loads(event.data)
    return dict(found)
