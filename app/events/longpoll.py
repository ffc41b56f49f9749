"""The long-poll form of a reader: a cursor that is advanced by one step."""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from app.core.cursor import Cursor
from app.core.eventlog import Entry
from app.core.metrics import COUNTS, RESETS
from app.core.models import compact
from app.events.guard import Lease
from app.events.reader import Gone, Reader
from app.events.snapshot import snapshot
from app.state import State


async def poll(
    state: State, lease: Lease, reader: Reader, after: Cursor, wait: float, projects: frozenset[str]
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
        fresh = await snapshot(state["log"], state["projects"], state["jobs"], lease.credential.user, projects)
        return answer([], fresh.cursor, reset=compact(fresh.document()).encode())


def answer(entries: list[Entry], cursor: Cursor, reset: bytes = b"null") -> Response:
    """The body is put together from the events' own bytes, which are the same as on a stream."""
    COUNTS.polled += len(entries)
    events = b",".join(
        b'{"id":"%s","type":"%s","data":%s}' % (str(entry.id).encode(), entry.type.encode(), entry.data)
        for entry in entries
    )
    body = b'{"events":[%s],"cursor":"%s","reset":%s}' % (events, str(cursor).encode(), reset)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
