"""A proxy before Redis that loses, at the very moment that a test chooses, a request, a reply, or the one who asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

Moment = Literal["request", "answered", "reply"]
"""`request`: before it reaches Redis; `answered`: when Redis has done it, before it is told; `reply`: what is told."""


@dataclass
class _Trap:
    pattern: bytes
    moment: Moment
    act: Callable[[], None]


class RedisProxy:
    """Listens on a port of its own, and hands everything on to a Redis on a Unix socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._traps: list[_Trap] = []
        self.sprung = 0
        self.url = ""

    def once(self, pattern: bytes, moment: Moment, act: Callable[[], None] = lambda: None) -> None:
        """The next time that `pattern` passes by, `act` is called, the message is lost and its connection cut."""
        self._traps.append(_Trap(pattern, moment, act))

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            from_redis, to_redis = await asyncio.open_unix_connection(str(self._socket))
        except OSError:
            writer.close()
            return
        waiting: list[_Trap] = []
        pumps = [
            asyncio.create_task(self._requests(reader, to_redis, waiting)),
            asyncio.create_task(self._replies(from_redis, writer, waiting)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            # Not `close`, which would wait for a peer that may be dead or frozen.
            to_redis.transport.abort()
            writer.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, waiting: list[_Trap]) -> None:
        while chunk := await source.read(1 << 20):
            if self._spring(chunk, "request"):
                return
            waiting += [trap for trap in self._traps if trap.moment == "answered" and trap.pattern in chunk]
            sink.write(chunk)
            await sink.drain()

    async def _replies(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, waiting: list[_Trap]) -> None:
        while chunk := await source.read(1 << 20):
            if waiting and waiting[0] in self._traps:
                self._act(waiting[0])
                return
            if self._spring(chunk, "reply"):
                return
            sink.write(chunk)
            await sink.drain()

    def _spring(self, chunk: bytes, moment: Moment) -> bool:
        trap = next((trap for trap in self._traps if trap.moment == moment and trap.pattern in chunk), None)
        if trap is not None:
            self._act(trap)
        return trap is not None

    def _act(self, trap: _Trap) -> None:
        self._traps.remove(trap)
        self.sprung += 1
        trap.act()
