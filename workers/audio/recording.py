"""The file of a chapter as it grows: each piece is levelled and encoded while the next one is being spoken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from app.core.errors import JobError
from workers.audio.encode import Cover, Encoding, SoundWriter, Tags
from workers.audio.leveller import Level, Leveller, Piece
from workers.core.blocking import ended, finished, in_thread
from workers.core.cancellation import Check


class Recording:
    """A file of sound at `path`; closed with the context."""

    def __init__(self, path: Path, tags: Tags, encoding: Encoding, level: Level, cover: Cover | None = None) -> None:
        self._path = path
        self._tags = tags
        self._encoding = encoding
        self._cover = cover
        self._leveller = Leveller(replace(level, lufs=level.lufs + encoding.gain))
        self._writer: SoundWriter | None = None
        self._rate = 0
        self._pending: asyncio.Task[None] | None = None
        self._abandoned = False

    @property
    def seconds(self) -> float:
        """How much is in the file; all of it only once the context has ended."""
        return self._writer.seconds if self._writer else 0.0

    async def add(self, piece: Piece) -> None:
        """Appends a piece, as soon as what was added before is encoded. Raises JobError (`engine_failed`)."""
        await self._settle()
        if self._writer is None:
            # Only the first sound tells the engine's sample rate.
            self._rate = piece.pcm.sample_rate
            self._writer = SoundWriter(self._path, self._rate, self._tags, self._encoding, self._cover)
        if piece.pcm.sample_rate != self._rate:
            raise JobError("engine_failed", "The voice engine changed its sample rate within a chapter.")
        self._pending = asyncio.create_task(asyncio.to_thread(self._write, self._writer, piece))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._settle()
                if self._writer:
                    await self._end(self._writer)
            else:
                self._abandoned = True
                if self._writer:
                    self._writer.abandon()
                if self._pending:
                    await ended(self._pending)
        finally:
            if self._writer:
                await finished(asyncio.create_task(asyncio.to_thread(self._writer.close)))

    def _write(self, writer: SoundWriter, piece: Piece) -> None:
        for ready in self._leveller.add(piece):
            if self._abandoned:
                return
            _put(writer, ready)

    async def _end(self, writer: SoundWriter) -> None:
        """Writes what is held back, in steps that can be ended."""

        def write(check: Check) -> None:
            for ready in self._leveller.rest():
                check()
                _put(writer, ready)

        await in_thread(write)

    async def _settle(self) -> None:
        if self._pending:
            # Whoever is cancelled here leaves it to the end of the context, which stops it.
            await asyncio.shield(self._pending)
            self._pending = None


def _put(writer: SoundWriter, piece: Piece) -> None:
    writer.write(piece.pcm)
    writer.silence(piece.pause)
