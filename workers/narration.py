"""Narration: the text of a chapter in, an mp3 file of it out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from app.core.errors import JobError
from app.core.messages import Language
from app.core.text import language_of
from workers.audio.encode import BIT_RATE, Mp3Writer, Tags
from workers.report import Report
from workers.speech.engine import Engine, Pcm
from workers.speech.plausible import check_duration
from workers.speech.segments import ends_paragraph, segments, speakable

_PAUSE_AFTER_TITLE = 0.8  # seconds
_PAUSE_AFTER_PARAGRAPH = 0.35
_PAUSE = 0.1
_DIGEST_CHARACTERS = 20
# Raise this with every change of this pipeline that makes another file of the same script.
_EDITION = 1


@dataclass(frozen=True)
class Script:
    """What is read aloud, and the tags of its file: `artist`, and chapter `track` of the `tracks` of an `album`.

    `language` is what a segment counts as that does not show its own; `voice` is what was asked for, if anything.
    """

    text: str
    title: str
    album: str
    artist: str
    track: int
    tracks: int
    language: Language
    voice: str | None


@dataclass(frozen=True)
class Utterance:
    """A segment, and the silence that follows it in seconds."""

    text: str
    pause: float


async def narrate(script: Script, engine: Engine, save: Callable[[Path], Awaitable[None]], report: Report) -> float:
    """Speaks `script`, hands the mp3 file to `save`, and returns its length in seconds.

    The file is gone when this returns. Reports `start`, `synthesis` with the segments done and in all, and `upload`
    once it is saved. Raises JobError: `nothing_to_say`, `implausible_audio`, what `engine` raises.
    """
    await report("start", 0, 0)
    utterances = await asyncio.to_thread(_utterances, script, engine.max_characters)
    if not any(speakable(utterance.text) for utterance in utterances):
        raise JobError("nothing_to_say", "There is no text in this chapter that could be read aloud.")
    await report("synthesis", 0, len(utterances))
    with tempfile.TemporaryDirectory(prefix="smartvoice-") as folder:
        path = Path(folder, "chapter.mp3")
        async with _Recording(path, _tags(script)) as recording:
            for number, utterance in enumerate(utterances, start=1):
                if speakable(utterance.text):
                    await recording.add(await _spoken(utterance.text, script, engine), utterance.pause)
                await report("synthesis", number, len(utterances))
        await save(path)
    await report("upload", 0, 0)
    return recording.seconds


def digest(script: Script, engine: Engine) -> str:
    """20 hexadecimal digits that differ wherever the file of `script` by `engine` would."""
    parts = [_EDITION, BIT_RATE, engine.name, engine.fingerprint, engine.max_characters, asdict(script)]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


class _Recording:
    """An mp3 file whose last piece is encoded while the next one is being spoken."""

    def __init__(self, path: Path, tags: Tags) -> None:
        self._path = path
        self._tags = tags
        self._writer: Mp3Writer | None = None
        self._rate = 0
        self._pending: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        return self._writer.seconds if self._writer else 0.0

    async def add(self, pcm: Pcm, pause: float) -> None:
        """Appends `pcm` and `pause` seconds of silence, as soon as what was added before is encoded."""
        await self._settle()
        if self._writer is None:
            # Only the first sound tells the engine's sample rate.
            self._rate = pcm.sample_rate
            self._writer = Mp3Writer(self._path, pcm.sample_rate, self._tags)
        if pcm.sample_rate != self._rate:
            raise JobError("engine_failed", "The voice engine changed its sample rate within a chapter.")
        self._pending = asyncio.create_task(asyncio.to_thread(_write, self._writer, pcm, pause))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._settle()
            elif self._pending:
                await asyncio.wait([self._pending])
        finally:
            if self._writer:
                await asyncio.to_thread(self._writer.close)

    async def _settle(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, None
            await pending


def _write(writer: Mp3Writer, pcm: Pcm, pause: float) -> None:
    writer.write(pcm)
    writer.silence(pause)


async def _spoken(text: str, script: Script, engine: Engine) -> Pcm:
    said = text.strip()
    voice = await asyncio.to_thread(engine.voice_for, language_of(said, script.language), script.voice)
    pcm = await engine.speak(said, voice)
    check_duration(said, pcm)
    return pcm


def _utterances(script: Script, limit: int) -> list[Utterance]:
    """The title, unless the text begins with it, and the segments of the text."""
    title = script.title.strip()
    spoken = []
    if not script.text.lstrip().startswith(title):
        *most, last = segments(title, script.language, limit)
        spoken = [*(Utterance(text, _PAUSE) for text in most), Utterance(last, _PAUSE_AFTER_TITLE)]
    for text in segments(script.text, script.language, limit):
        spoken.append(Utterance(text, _PAUSE_AFTER_PARAGRAPH if ends_paragraph(text) else _PAUSE))
    return spoken


def _tags(script: Script) -> Tags:
    return Tags(script.title, script.album, script.artist, script.track, script.tracks, script.language)
