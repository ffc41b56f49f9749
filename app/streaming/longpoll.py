"""The long-poll form of a reader: a cursor that is advanced by one step."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import Response

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import LogEntry
from app.core.telemetry.metrics import COUNTS, RESETS
from app.http.json_stream import in_parts
from app.streaming.reader import Gone, Reader
from app.streaming.revocation import StreamCredential
from app.streaming.state import StreamingState

_HEADERS = {"Cache-Control": "no-store"}


async def poll(
    state: StreamingState, lease: StreamCredential, reader: Reader, after: Cursor, wait: float, projects: frozenset[str]
) -> Response:
    """`{events, cursor, reset}` as soon as there is anything past `after`, or when `wait` seconds are over.

    Raises Unauthenticated as soon as the lease is over.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    cursor = after
    try:
        while True:
            lease.check()
            left = deadline - loop.time()
            entries = await reader.read(cursor, 0 if state["drain"].started else max(0.0, left))
            lease.check()
            cursor = entries[-1].id if entries else cursor
            wanted = [entry for entry in entries if not projects or entry.project in projects]
            if wanted or left <= 0 or state["drain"].started:
                return answer(wanted, cursor)
    except Gone:
        RESETS.labels("poll").inc()
        user = lease.credential.user
        return await in_parts(_reset(state, user, projects, cursor), _HEADERS, state["request_slots"].of(user))


async def _reset(state: StreamingState, user: str, projects: frozenset[str], gone: Cursor) -> AsyncIterator[bytes]:
    """The answer with a snapshot, as its reader takes it."""
    async with state["snapshots"].reading(user, projects, gone) as snapshot:
        yield b'{"events":[],"cursor":"%s","reset":' % str(snapshot.cursor).encode()
        async for part in snapshot.parts():
            yield part
        yield b"}"


def answer(entries: list[LogEntry], cursor: Cursor) -> Response:
    """The body is put together from the events' own bytes, which are the same as on a stream."""
    COUNTS.polled += len(entries)
    events = b",".join(
        b'{"id":"%s","type":"%s","data":%s}' % (str(entry.id).encode(), entry.type.encode(), entry.data)
        for entry in entries
    )
    body = b'{"events":[%s],"cursor":"%s","reset":null}' % (events, str(cursor).encode())
    return Response(body, media_type="application/json", headers=_HEADERS)
