"""What a stream says of itself, in bytes: chunks of its response (RFC 9112, 7.1) with events of its own (WHATWG HTML,
server-sent events), which are in no log."""

from __future__ import annotations

import random

from sse_starlette import ServerSentEvent

from app.core.eventlog.cursor import Cursor
from app.core.ids import new_id
from app.core.json_model import compact

HEADERS = {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}
"""Of every stream's answer."""

LAST_CHUNK = b"0\r\n\r\n"
"""Ends the response."""

END_OF_EVENT = b"\r\n\r\n"

_PADDING = b": " + b" " * 2048 + b"\r\n"
"""Old proxies hold a response back until they have this much of it."""
_LONGEST_RETRY_MS = 3000


def ready_template(heartbeat: float) -> bytes:
    """What each stream begins with, but for what `preamble` adds."""
    fields: dict[str, object] = {"cursor": "%(cursor)b", "connectionId": "%(id)b", "heartbeatSeconds": heartbeat}
    told = control("ready", fields, id="%(cursor)b", retry=_LONGEST_RETRY_MS)
    return _PADDING + told.replace(b"retry: %d" % _LONGEST_RETRY_MS, b"retry: %(retry)d")


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
    return 1000 + int(random.random() * (_LONGEST_RETRY_MS - 999))


HEARTBEAT = framed(control("heartbeat", {}))
