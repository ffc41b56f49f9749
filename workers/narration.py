"""Narration: the text of a chapter in, an mp3 file of it out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from app.core.errors import JobError
from app.core.messages import Language
from app.core.tasks import end
from app.core.text import language_of
from workers.audio.encode import Cover, Encoding, SoundWriter, Tags
from workers.audio.level import Level, Leveller, Piece
from workers.report import Pace, Report
from workers.speech.engine import Engine, Pcm
from workers.speech.kept import Kept, Spoken, name_of
from workers.speech.plausible import check_duration
from workers.speech.segments import ends_paragraph, segments, speakable

_PAUSE_AFTER_TITLE = 0.8  # seconds
_PAUSE_AFTER_PARAGRAPH = 0.35
_PAUSE = 0.1
_DIGEST_CHARACTERS = 20
# Raise this with every change of this pipeline that makes another file of the same script.
_EDITION = 2


@dataclass(frozen=True)
class Sound:
    """How the file of a chapter is to sound, and how it is written."""

    level: Level = field(default_factory=Level)
    encoding: Encoding = field(default_factory=Encoding)


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
    cover: Cover | None = None
    sound: Sound = field(default_factory=Sound)


@dataclass(frozen=True)
class Utterance:
    """A segment, and the silence that follows it in seconds; `said` is None where there is nothing to say.

    `name` is the one that the sound of it is kept by; `kept` whether it is, as far as is known.
    """

    text: str
    pause: float
    said: Spoken | None = None
    name: str = ""
    kept: bool = False

    @property
    def cost(self) -> int:
        """How much work it is, in characters to be voiced."""
        return len(self.said.text) if self.said and not self.kept else 0


async def narrate(
    script: Script, engine: Engine, kept: Kept, save: Callable[[Path], Awaitable[None]], report: Report
) -> float:
    """Speaks `script`, hands the mp3 file to `save`, and returns its length in seconds.

    Segments that are `kept` are not spoken again, the others are kept as soon as they are. The file is gone when this
    returns. Reports `start`, `synthesis` with the segments done and in all, and `upload` once it is saved.
    Raises JobError: `nothing_to_say`, `implausible_audio`, what `engine` raises; Unavailable where nothing can be kept.
    """
    await report("start", 0, 0)
    utterances = await _prepared(script, engine, kept)
    if not any(utterance.said for utterance in utterances):
        raise JobError("nothing_to_say", "There is no text in this chapter that could be read aloud.")
    total = sum(utterance.cost for utterance in utterances)
    await report("synthesis", 0, len(utterances))
    with tempfile.TemporaryDirectory(prefix="smartvoice-") as folder:
        path = Path(folder, "chapter.mp3")
        async with _Recording(path, script) as recording, aclosing(_sounds(utterances, engine, kept)) as sounds:
            number = voiced = 0
            async for utterance, pcm in sounds:
                if pcm:
                    await recording.add(Piece(pcm, utterance.pause, utterance.said.voice if utterance.said else ""))
                number += 1
                voiced += utterance.cost
                await report("synthesis", number, len(utterances), Pace(voiced, total))
        await save(path)
    await report("upload", 0, 0)
    return recording.seconds


def digest(script: Script, engine: Engine) -> str:
    """20 hexadecimal digits that differ wherever the file of `script` by `engine` would."""
    cover = hashlib.sha256(script.cover.data).hexdigest() if script.cover else ""
    said = asdict(replace(script, cover=None)) | {"cover": cover}
    parts = [_EDITION, engine.name, engine.fingerprint, engine.max_characters, said]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


class _Recording:
    """An mp3 file whose last piece is levelled and encoded while the next one is being spoken."""

    def __init__(self, path: Path, script: Script) -> None:
        self._path = path
        self._script = script
        encoding, level = script.sound.encoding, script.sound.level
        self._leveller = Leveller(replace(level, lufs=level.lufs + encoding.gain))
        self._writer: SoundWriter | None = None
        self._rate = 0
        self._pending: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        return self._writer.seconds if self._writer else 0.0

    async def add(self, piece: Piece) -> None:
        """Appends a piece, as soon as what was added before is encoded."""
        await self._settle()
        if self._writer is None:
            # Only the first sound tells the engine's sample rate.
            self._rate = piece.pcm.sample_rate
            script = self._script
            self._writer = SoundWriter(self._path, self._rate, _tags(script), script.sound.encoding, script.cover)
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
                    await asyncio.to_thread(_put, self._writer, self._leveller.rest())
            elif self._pending:
                await asyncio.wait([self._pending])
        finally:
            if self._writer:
                await asyncio.to_thread(self._writer.close)

    def _write(self, writer: SoundWriter, piece: Piece) -> None:
        _put(writer, self._leveller.add(piece))

    async def _settle(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, None
            await pending


def _put(writer: SoundWriter, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        writer.write(piece.pcm)
        writer.silence(piece.pause)


async def _sounds(
    utterances: Sequence[Utterance], engine: Engine, kept: Kept
) -> AsyncGenerator[tuple[Utterance, Pcm | None]]:
    """Each utterance with its sound, in order; as many are on their way as the engine voices at once."""
    coming: deque[tuple[Utterance, asyncio.Task[Pcm | None]]] = deque()
    waiting = iter(utterances)
    try:
        while True:
            while len(coming) < engine.at_once and (utterance := next(waiting, None)):
                # The same words twice in a row are voiced once.
                same = next((task for other, task in coming if other.said and other.name == utterance.name), None)
                coming.append((utterance, same or asyncio.create_task(_sound(utterance, engine, kept))))
            if not coming:
                return
            utterance, task = coming[0]
            pcm = await task
            coming.popleft()
            yield utterance, pcm
    finally:
        await end(*(task for _, task in coming))


async def _sound(utterance: Utterance, engine: Engine, kept: Kept) -> Pcm | None:
    if utterance.said is None:
        return None
    if utterance.kept and (pcm := await kept.get(utterance.name)):
        return pcm
    said = utterance.said
    pcm = await engine.speak(said.text, said.voice)
    check_duration(said.text, pcm)
    await kept.put(utterance.name, pcm)
    return pcm


async def _prepared(script: Script, engine: Engine, kept: Kept) -> list[Utterance]:
    """What is to be said, by which voice, and what of it need not be voiced: it is kept, or will be by then."""
    # In a thread: it is work, and an engine may have to ask which voices there are.
    utterances = await asyncio.to_thread(_planned, script, engine)
    known = await kept.known(utterance.name for utterance in utterances if utterance.said)
    planned = []
    for utterance in utterances:
        planned.append(replace(utterance, kept=utterance.name in known))
        known.add(utterance.name)
    return planned


def _planned(script: Script, engine: Engine) -> list[Utterance]:
    return [_cast(utterance, script, engine) for utterance in _utterances(script, engine.max_characters)]


def _cast(utterance: Utterance, script: Script, engine: Engine) -> Utterance:
    """The utterance with the voice that says it, if there is anything to say."""
    if not speakable(utterance.text):
        return utterance
    text = utterance.text.strip()
    said = Spoken(text, engine.voice_for(language_of(text, script.language), script.voice))
    return replace(utterance, said=said, name=name_of(said, engine))


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
