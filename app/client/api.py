"""The HTTP interface as methods: a method for each thing that the command line asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx

from app.client.backoff import Backoff
from app.client.errors import ApiError, Unreachable, raise_for
from app.client.events import Follower
from app.core.jobs.models import Job

_PATIENCE_SECONDS = 30.0
_FIRST_SECONDS = 3.0
_TRY_AGAIN = {429, 503}
_CHUNK = 1 << 18


class SmartVoice:
    """A SmartVoice server, as somebody with a token sees it. All raise ApiError, Unreachable.

    What is asked while the server is away for a moment is asked again, for half a minute; what makes something bears a
    key, so that it is made once.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def at(cls, server: str, token: str) -> AsyncIterator[Self]:
        """The one at this address."""
        headers = {"Authorization": f"Bearer {token}"}
        timeout = httpx.Timeout(60, connect=10)
        # What follows events and what asks must not wait for one another.
        async with httpx.AsyncClient(base_url=server.rstrip("/"), headers=headers, timeout=timeout) as http:
            yield cls(http)

    def follow(self, after: str | None = None, *projects: str) -> Follower:
        """Its events past a cursor, or from now on."""
        return Follower(self._http, after=after, projects=projects)

    async def who(self) -> str:
        """As whom one is signed in."""
        # The first thing that is asked: an address that is wrong is told soon.
        return str((await self._ask("GET", "/api/session", patience=_FIRST_SECONDS))["user"])

    async def voices(self) -> dict[str, Any]:
        """The engine, and its voices by language."""
        return await self._ask("GET", "/api/voices")

    async def project(self, id: str) -> dict[str, Any]:
        """A project with its chapters, books and cursor."""
        return await self._ask("GET", f"/api/projects/{id}")

    async def create(self, manuscript: Path, said: Mapping[str, str]) -> dict[str, Any]:
        """A new project from a file; `said` is `title`, `language` and `voice` as far as they are to be set."""
        content = await asyncio.to_thread(manuscript.read_bytes)
        # Not asked again: a project has no key, and two of one manuscript would be made.
        try:
            answer = await self._http.post("/api/projects", files={"file": (manuscript.name, content)}, data={**said})
        except httpx.TransportError as error:
            raise self._unreachable() from error
        raise_for(answer)
        return dict(answer.json())

    async def change(self, id: str, changes: Mapping[str, str]) -> dict[str, Any]:
        """Sets `title`, `language` or `voice` of a project."""
        return await self._ask("PATCH", f"/api/projects/{id}", json={**changes})

    async def narrate(self, project: str, chapter: str) -> Job:
        """The job that reads a chapter aloud."""
        path = f"/api/projects/{project}/chapters/{chapter}/audio"
        return Job.model_validate(await self._ask("POST", path, headers={"Idempotency-Key": uuid4().hex}))

    async def book(self, project: str, format: str, *, allow_missing: bool) -> Job:
        """The job that puts the book together."""
        body = {"format": format, "allowMissing": allow_missing}
        headers = {"Idempotency-Key": uuid4().hex}
        return Job.model_validate(await self._ask("POST", f"/api/projects/{project}/book", json=body, headers=headers))

    async def cancel(self, job: Job) -> None:
        """Calls a job off."""
        await self._ask("DELETE", f"/api/jobs/{job.queue}/{job.id}")

    async def download(self, url: str, target: Path, come: Callable[[int], None] | None = None) -> None:
        """Saves a file, whole or not at all; one that breaks off goes on from where it was. `come` hears of bytes."""
        partial = target.with_name(f".{target.name}.part")
        tag, backoff = "", Backoff(cap=5)
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while True:
            try:
                tag = await self._download(url, partial, tag, come)
                break
            except httpx.TransportError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise self._unreachable() from error
                await asyncio.sleep(backoff.next())
        await asyncio.to_thread(partial.replace, target)

    async def _download(self, url: str, partial: Path, tag: str, come: Callable[[int], None] | None) -> str:
        at = await asyncio.to_thread(_size, partial) if tag else 0
        headers = {"Range": f"bytes={at}-", "If-Range": tag} if at else {}
        async with self._http.stream("GET", url, headers=headers) as answer:
            if not answer.is_success:
                await answer.aread()
            raise_for(answer)
            with partial.open("ab" if answer.status_code == httpx.codes.PARTIAL_CONTENT else "wb") as file:
                async for chunk in answer.aiter_bytes(_CHUNK):
                    await asyncio.to_thread(file.write, chunk)
                    if come:
                        come(len(chunk))
            return str(answer.headers.get("etag", ""))

    async def _ask(
        self, method: str, path: str, *, patience: float = _PATIENCE_SECONDS, **options: Any
    ) -> dict[str, Any]:
        backoff = Backoff(base=0.5, cap=5)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience
        while True:
            try:
                answer = await self._http.request(method, path, **options)
                raise_for(answer)
                return dict(answer.json())
            except ApiError as error:
                pause = (error.retry_after or 0) + backoff.next()
                if error.status not in _TRY_AGAIN or loop.time() + pause > deadline:
                    raise
            except httpx.TransportError as error:
                pause = backoff.next()
                if loop.time() + pause > deadline:
                    raise self._unreachable() from error
            await asyncio.sleep(pause)

    def _unreachable(self) -> Unreachable:
        return Unreachable(f"Nothing answers at {self._http.base_url}; is it the address, and is SmartVoice running?")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
