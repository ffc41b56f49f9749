"""A door before a server: it can be shut, so that nothing answers there, and opened again on the same port."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from tests.stack import free_port


class Door:
    """Hands connections on to the server at `address`, a URL, while it is open."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._place = (str(parts.hostname), int(parts.port or 0))
        self._port = free_port()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shut()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self._port)

    async def shut(self) -> None:
        """Refuses whoever comes, and cuts off whoever is in."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        sinks = [writer]
        with suppress(OSError, asyncio.CancelledError):
            there, back = await asyncio.open_connection(*self._place)
            sinks.append(back)
            await asyncio.gather(_pump(reader, back), _pump(there, writer))
        for sink in sinks:
            sink.transport.abort()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(1 << 16):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
