"""Following a user's events for as long as one likes: by stream, by long poll where streams do not come through.

The cursor is kept over every change of connection, so that each event is told once and none is missed; where the
server no longer has what was missed, it says so by a `reset` with a snapshot.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from app.client.backoff import Backoff
from app.client.errors import ApiError, raise_for

_PATH = "/api/events"
_TRY_AGAIN = {429, 502, 503, 504}


class Event(NamedTuple):
    """One event of the log; `type` is `reset` where what was asked for is gone: `data` is then cursor and jobs."""

    id: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Timings:
    """All in seconds: until a stream must have said `ready`; beyond two heartbeats that did not come; what a poll asks
    the server to wait; from the first poll to the next try of a stream, doubling up to the longest."""

    ready: float = 5.0
    grace: float = 5.0
    wait: float = 25.0
    probe: float = 15.0
    longest_probe: float = 300.0


class _Held(Exception):
    """The stream is there, but something on the way holds it back."""


class Follower:
    """The events of whom `http` is signed in as, past `after` or from now on, of all projects or of those named."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        after: str | None = None,
        projects: Sequence[str] = (),
        timings: Timings | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._http = http
        self._timings = timings or Timings()
        self._backoff = backoff or Backoff()
        self._query: list[tuple[str, str | int | float | bool | None]] = [("project", id) for id in projects]
        self._probe = self._timings.probe
        self.cursor = after

    async def events(self) -> AsyncGenerator[Event]:
        """Goes on until it is closed. Raises ApiError where the server will not have us (401, 404 …)."""
        while True:
            try:
                async with aclosing(self._streamed()) as streamed:
                    async for event in streamed:
                        yield event
            except _Held:
                async with aclosing(self._polled()) as polled:
                    async for event in polled:
                        yield event
                continue
            except ApiError as error:
                if error.status not in _TRY_AGAIN:
                    raise
                await asyncio.sleep((error.retry_after or 0) + self._backoff.next())
                continue
            except (httpx.HTTPError, SSEError):
                # The server is away, or was on its way out: full jitter, so that not all come back at once.
                pass
            await asyncio.sleep(self._backoff.next())

    async def _streamed(self) -> AsyncGenerator[Event]:
        """The events of one stream, until it ends. Raises _Held where it says nothing for too long."""
        headers = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        timeout = httpx.Timeout(10, read=None)
        async with aconnect_sse(
            self._http, "GET", _PATH, params=self._query, headers=headers, timeout=timeout
        ) as source:
            if not source.response.is_success:
                await source.response.aread()
            raise_for(source.response)
            frames = source.aiter_sse()
            patience = self._timings.ready
            while (frame := await self._next(frames, patience)) is not None:
                if frame.event == "ready":
                    told = json.loads(frame.data)
                    self.cursor = self.cursor or str(told["cursor"])
                    patience = 2 * float(told["heartbeatSeconds"]) + self._timings.grace
                    self._backoff.reset()
                    self._probe = self._timings.probe
                elif event := self._taken(frame.id, frame.event, frame.data):
                    yield event

    async def _next(self, frames: AsyncIterator[ServerSentEvent], patience: float) -> ServerSentEvent | None:
        try:
            # Not `wait_for`: in Python 3.11 it loses a cancellation that comes together with a frame.
            async with asyncio.timeout(patience):
                return await anext(frames, None)
        except TimeoutError as error:
            raise _Held from error

    async def _polled(self) -> AsyncGenerator[Event]:
        """The events by long poll, until it is time to try a stream again. Raises ApiError, httpx.HTTPError."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._probe
        self._probe = min(self._probe * 2, self._timings.longest_probe)
        while loop.time() < until:
            try:
                document = await self._poll()
            except httpx.HTTPError:
                await asyncio.sleep(self._backoff.next())
                continue
            except ApiError as error:
                if error.status not in _TRY_AGAIN:
                    raise
                await asyncio.sleep((error.retry_after or 0) + self._backoff.next())
                continue
            self._backoff.reset()
            if document["reset"]:
                yield self._reset(document["reset"])
            for event in document["events"]:
                self.cursor = event["id"]
                yield Event(event["id"], event["type"], event["data"])
            self.cursor = document["cursor"]

    async def _poll(self) -> dict[str, Any]:
        query = [*self._query, ("wait", self._timings.wait)]
        if self.cursor is not None:
            query.append(("after", self.cursor))
        headers = {"Accept": "application/json"}
        answer = await self._http.get(_PATH, params=query, headers=headers, timeout=self._timings.wait + 15)
        raise_for(answer)
        return dict(answer.json())

    def _taken(self, id: str, type: str, data: str) -> Event | None:
        """The event of a frame, and the cursor moves behind it; None for what only the connection is told."""
        if type == "reset":
            return self._reset(json.loads(data))
        if ":" not in type:
            return None
        self.cursor = id
        return Event(id, type, json.loads(data))

    def _reset(self, snapshot: dict[str, Any]) -> Event:
        self.cursor = str(snapshot["cursor"])
        return Event(self.cursor, "reset", snapshot)
