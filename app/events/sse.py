"""The SSE form of a reader (WHATWG HTML, server-sent events): a cursor that is pushed along."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

from sse_starlette import ServerSentEvent

from app.auth.credential import Identity
from app.core.cursor import Cursor
from app.core.eventlog import Entry
from app.core.models import compact, new_id
from app.events.guard import Lease
from app.events.hub import Gone, Reader
from app.events.snapshot import snapshot
from app.state import State

HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}

_PADDING = b": " + b" " * 2048 + b"\r\n"
"""Old proxies hold a response back until they have this much of it."""
_REAUTH_SECONDS = 30.0
_WRITE_BYTES = 8 * 1024


class Stream:
    """One stream: what is sent, and why it ends: the client goes, the credential ends, the process leaves."""

    def __init__(
        self,
        state: State,
        identity: Identity,
        lease: Lease,
        reader: Reader,
        cursor: Cursor,
        projects: frozenset[str],
    ) -> None:
        self._state = state
        self._identity = identity
        self._lease = lease
        self._reader = reader
        self._cursor = cursor
        self._projects = projects
        self._loop = asyncio.get_running_loop()
        self._ends = self._loop.time() + identity.seconds_left
        self._reauth: float | None = self._ends - _REAUTH_SECONDS
        self._leaves: float | None = None

    async def frames(self) -> AsyncIterator[bytes]:
        """The bytes of the stream, for ever or until it has to end; once signed out it ends without another word."""
        yield self._preamble()
        while not self._lease.over:
            heartbeat = self._loop.time() + self._heartbeat_seconds()
            try:
                entries = await self._reader.read(self._cursor, self._until(heartbeat))
            except Gone:
                yield await self._reset()
                continue
            if entries and not self._lease.over:
                frames = self._take(entries)
                # Sending may take as long as the client likes; nothing is held meanwhile that can be read again.
                del entries
                if frames:
                    yield frames
            if self._lease.over:
                return
            now = self._loop.time()
            if self._lease.moved or (self._leaves is not None and now >= self._leaves):
                yield _control("goodbye", {"retryMs": _retry_ms()}, retry=_retry_ms())
                return
            if now >= self._ends:
                return
            if self._reauth is not None and now >= self._reauth:
                self._reauth = None
                yield _control("reauth", {"secondsLeft": max(0, round(self._ends - now))})
            elif now >= heartbeat:
                yield _control("heartbeat", {})

    def _take(self, entries: list[Entry]) -> bytes:
        """The frames of as many entries as make one write, and the cursor moves behind them."""
        frames: list[bytes] = []
        size = 0
        for entry in entries:
            if size >= _WRITE_BYTES:
                break
            self._cursor = entry.id
            if self._wants(entry):
                frames.append(frame(entry))
                size += len(frames[-1])
        return b"".join(frames)

    def _wants(self, entry: Entry) -> bool:
        return not self._projects or entry.project in self._projects

    def _until(self, heartbeat: float) -> float:
        """Seconds until something other than an event is due."""
        if self._leaves is None:
            self._leaves = self._state["drain"].moment()
        if self._lease.moved:
            return 0.0
        due = [heartbeat, self._ends, self._reauth, self._leaves]
        return max(0.0, min(moment for moment in due if moment is not None) - self._loop.time())

    def _heartbeat_seconds(self) -> float:
        return self._state["settings"].heartbeat_seconds * random.uniform(0.9, 1.0)

    def _preamble(self) -> bytes:
        ready = {
            "cursor": str(self._cursor),
            "connectionId": new_id(),
            "heartbeatSeconds": self._state["settings"].heartbeat_seconds,
        }
        return _PADDING + _control("ready", ready, id=str(self._cursor), retry=_retry_ms())

    async def _reset(self) -> bytes:
        fresh = await snapshot(self._state, self._identity.user, self._projects)
        self._cursor = fresh.cursor
        return _control("reset", fresh.document(), id=str(fresh.cursor))


def frame(entry: Entry) -> bytes:
    """One event as it goes over the wire."""
    id, type = str(entry.id).encode(), entry.type.encode()
    return b"id: " + id + b"\r\nevent: " + type + b"\r\ndata: " + entry.data + b"\r\n\r\n"


def _control(event: str, data: dict[str, object], *, id: str | None = None, retry: int | None = None) -> bytes:
    return ServerSentEvent(compact(data), event=event, id=id, retry=retry).encode()


def _retry_ms() -> int:
    return random.randint(1000, 3000)
