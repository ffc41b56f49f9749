"""A connection to Redis that is opened by redis-py and then read by hiredis, without the layers between.

redis-py knows how to connect: addresses, TLS, names and passwords. What it does for each reply after that (tasks,
timers, streams) costs more than the reply, so its transport is given to a protocol of ours.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import hiredis
from redis._parsers import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, InvalidResponse

_MORE = object()
_FIRST = 4  # commands


class RedisConnection(asyncio.Protocol):
    """One connection. Each reply of one read is passed to `on_reply`, then `on_batch_end` is called."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_MORE
        )
        self._opened: AbstractConnection | None = None
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._turn: asyncio.Handle | None = None
        self._begun = False

    async def open(self, connection: AbstractConnection) -> None:
        """Connect by `connection`, which belongs to this object from then on. Raises RedisError, OSError."""
        await connection.connect()  # type: ignore[no-untyped-call] # redis-py's is untyped
        # Kept: its writer closes the socket when it is garbage-collected.
        self._opened = connection
        writer: Any = connection._writer
        self._transport = cast(asyncio.Transport, writer.transport)
        if self._transport.is_closing():
            raise ConnectionError("the connection was lost as soon as it was made")
        self._transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing() and not self.closed.done()

    def send(self, *command: Any) -> None:
        """Send a command. Commands of one iteration of the event loop are sent together, in at most two writes."""
        if not self._turn:
            self._turn = self._loop.call_soon(self._end_of_turn)
        self._unsent.append(hiredis.pack_command(command))
        # The first few are sent at once, so that the server and this process work at the same time.
        if len(self._unsent) == _FIRST and not self._begun:
            self._begun = True
            self._flush()

    def _end_of_turn(self) -> None:
        self._turn, self._begun = None, False
        if self._unsent:
            self._flush()

    def _flush(self) -> None:
        # Each write to a transport is a system call, and wakes the server.
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))

    def fail(self, error: BaseException) -> None:
        """Abort the connection because of `error`."""
        self.error = self.error or error
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        self.connection_lost(None)

    def on_reply(self, reply: Any) -> None:
        """Receive a reply, or a published message."""
        raise NotImplementedError

    def on_batch_end(self) -> None:
        """Note that all replies of one read have been passed to `on_reply`."""

    def on_lost(self, error: BaseException) -> None:
        """Note that the connection is lost."""

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _MORE:
                self.on_reply(reply)
        except InvalidResponse as error:
            self.fail(error)
        self.on_batch_end()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed.done():
            return
        self.closed.set_result(None)
        if self._opened is not None:
            self._opened._close()  # type: ignore[no-untyped-call] # as above
        self.error = self.error or ConnectionError(str(exc or "Redis closed the connection"))
        self.on_lost(self.error)


def connect_without_retry(connection_class: Any, options: dict[str, Any]) -> AbstractConnection:
    """Make a connection that does not retry by itself, so that every loss is noticed."""
    connection = connection_class(**{**options, "retry": Retry(NoBackoff(), 0)})
    return cast(AbstractConnection, connection)
