"""Transports between uvicorn and a connection, for writing responses."""

from __future__ import annotations

import asyncio
from typing import Any

_CHUNKED = b"\r\ntransfer-encoding: chunked\r\n"


class HeadBuffer:
    """A transport that holds the head of a response until its body comes, at most until the end of this loop iteration.

    uvicorn writes head and body separately, and a transport sends each at once: two system calls and two packets.
    """

    __slots__ = ("_held", "_holds_next", "_loop", "transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.transport = transport
        self._loop = loop
        self._holds_next = False
        self._held = b""

    def hold_next(self) -> None:
        """Note that the next write is a head."""
        self._holds_next = True

    def take(self) -> bytes:
        """Return what is held; the caller must write it."""
        held, self._held = self._held, b""
        return held

    def write(self, data: bytes) -> None:
        """Write in order. Empty data never reaches the transport: asyncio may try to send it for ever
        (python/cpython#155888)."""
        if self._held:
            self._holds_next = False
            self.transport.write(self.take() + data)
        elif self._holds_next:
            self._holds_next = False
            self._held = data
            self._loop.call_soon(self._flush)
        elif data:
            self.transport.write(data)

    def close(self) -> None:
        self._flush()
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def is_closing(self) -> bool:
        return self.transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.transport.get_extra_info(name, default)

    def _flush(self) -> None:
        if self._held:
            self.transport.write(self.take())


class Unchunked:
    """A transport for a response to HTTP/1.0, which has no chunks: the body ends with the connection.

    It is given the head in one piece (unless `in_body`), then whole chunks.
    """

    __slots__ = ("_chunked", "_transport")

    def __init__(self, transport: asyncio.Transport | HeadBuffer, *, in_body: bool = False) -> None:
        self._transport = transport
        self._chunked: bool | None = True if in_body else None

    def write(self, data: bytes) -> None:
        if self._chunked is None:
            self._chunked = _CHUNKED in data
            data = data.replace(_CHUNKED, b"\r\n", 1)
        elif self._chunked:
            data = _content(data)
        if data:
            self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        transport = self._transport.transport if isinstance(self._transport, HeadBuffer) else self._transport
        return transport.get_write_buffer_size()


def _content(chunks: bytes) -> bytes:
    """Return the content of whole chunks without extensions and trailers."""
    parts, at = [], 0
    while at < len(chunks):
        end = chunks.index(b"\r\n", at)
        size = int(chunks[at:end], 16)
        parts.append(chunks[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts)
