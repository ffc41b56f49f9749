"""Writing `reset` to a stream as its client takes it: of a snapshot of megabytes only a part is in the buffers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from redis.exceptions import RedisError

from app.core.eventlog.cursor import Cursor
from app.streaming.snapshot import Snapshot
from app.streaming.wire import END_OF_EVENT, framed, reset_head


class SnapshotWriter:
    """One `reset` that is being written. As long as it is, its stream writes nothing else: it would stand within it."""

    def __init__(self, write: Callable[[bytes], None], *, paused: bool = False) -> None:
        self._write = write
        self._paused = paused
        self._over = self._done = False
        self._wake: asyncio.Future[None] | None = None

    def __bool__(self) -> bool:
        return not self._done

    def pause(self) -> None:
        """The client does not take more."""
        self._paused = True

    def resume(self) -> None:
        """The client takes more."""
        self._paused = False
        self._go_on()

    def stop(self) -> None:
        """The stream has ended."""
        self._over = True
        self._go_on()

    async def run(self, snapshot: Snapshot) -> Cursor | None:
        """Writes it; the cursor that goes on from it, or None where the stream has ended before."""
        try:
            number, part = 0, reset_head(snapshot.cursor)
            while part:
                await self._room()
                if self._over:
                    break
                self._write(framed(part))
                part = await self._part(snapshot, number)
                number += 1
            if self._over:
                return None
            self._write(framed(END_OF_EVENT))
            return snapshot.cursor
        finally:
            self._done = True

    async def _part(self, snapshot: Snapshot, number: int) -> bytes:
        """A part of the snapshot, for which Redis is waited for; nothing where the stream has ended."""
        while not self._over:
            try:
                return await snapshot.part(number)
            except (RedisError, OSError):
                await asyncio.sleep(random.uniform(0.1, 1.0))
        return b""

    async def _room(self) -> None:
        while self._paused and not self._over:
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake

    def _go_on(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class _None(SnapshotWriter):
    def __init__(self) -> None:
        super().__init__(lambda written: None)
        self._done = True

    def pause(self) -> None:
        pass

    def stop(self) -> None:
        pass


NONE = _None()
"""Stands where none was written yet."""
