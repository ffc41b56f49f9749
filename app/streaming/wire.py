"""The bytes of a stream: events as server-sent events (WHATWG HTML), in chunks of a response (RFC 9112, 7.1).

Events of the log are formatted here, and those that a stream sends of itself, which are in no log.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from sse_starlette import ServerSentEvent

from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import LogEntry
from app.core.ids import new_id
from app.core.json_model import compact

HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
"""Of every stream's answer."""

LAST_CHUNK = b"0\r\n\r\n"
"""Ends the response."""

END_OF_EVENT = b"\r\n\r\n"

_PADDING = b": " + b" " * 2048 + b"\r\n"
"""Old proxies hold a response back until they have this much of it."""
_MAX_RETRY_MS = 3000
_CHUNK_BYTES = 8 * 1024
_EVENT = b"id: %b\r\nevent: %b\r\ndata: %b\r\n\r\n"


class EventChunk(NamedTuple):
    """Entries that are sent together, the id of the last, and the bytes of all of them as one chunk."""

    entries: Sequence[LogEntry]
    last: Cursor
    chunk: bytes


def ready_template(heartbeat: float) -> bytes:
    """What each stream begins with, but for what `preamble` adds."""
    fields: dict[str, object] = {"cursor": "%(cursor)b", "connectionId": "%(id)b", "heartbeatSeconds": heartbeat}
    told = control("ready", fields, id="%(cursor)b", retry=_MAX_RETRY_MS)
    return _PADDING + told.replace(b"retry: %d" % _MAX_RETRY_MS, b"retry: %(retry)d")


def preamble(template: bytes, cursor: Cursor) -> bytes:
    """What one stream begins with, at `cursor`."""
    return framed(template % {b"cursor": str(cursor).encode(), b"id": new_id().encode(), b"retry": retry_ms()})


def framed(body: bytes) -> bytes:
    """A chunk of the response (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def control(event: str, data: dict[str, object], *, id: str | None = None, retry: int | None = None) -> bytes:
    """An event that is in no log."""
    return ServerSentEvent(compact(data), event=event, id=id, retry=retry).encode()


def reset_head(cursor: Cursor) -> bytes:
    """The beginning of a `reset`, which a snapshot on one line and `END_OF_EVENT` are to follow."""
    return b"id: %s\r\nevent: reset\r\ndata: " % str(cursor).encode()


def retry_ms() -> int:
    """After how long a client is to come back: not all at once."""
    return 1000 + int(random.random() * (_MAX_RETRY_MS - 999))


def event(entry: LogEntry) -> bytes:
    """Return an entry of the log as a server-sent event."""
    id, type, _ = entry.line.split(b" ", 2)
    return _EVENT % (id, type, entry.data)


def chunk(entries: Sequence[LogEntry]) -> bytes:
    """Return the entries as one chunk; nothing for no entries."""
    return framed(b"".join(map(event, entries))) if entries else b""


def chunks_of(entries: Sequence[LogEntry], last: Cursor) -> list[EventChunk]:
    """Return the entries, of which the latest has the id `last`, in chunks of about 8 KB, so that little is held for a
    client that stalls."""
    if len(entries) == 1:
        return [EventChunk(entries, last, chunk(entries))]
    chunks: list[EventChunk] = []
    begin, size, events = 0, 0, list(map(event, entries))
    for upto, entry in enumerate(entries, 1):
        size += len(events[upto - 1])
        if size >= _CHUNK_BYTES or upto == len(entries):
            body = framed(b"".join(events[begin:upto]))
            chunks.append(EventChunk(entries[begin:upto], entry.id if upto < len(entries) else last, body))
            begin, size = upto, 0
    return chunks


HEARTBEAT = framed(control("heartbeat", {}))
