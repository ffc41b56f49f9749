"""Narration: from the text of a chapter to its mp3 file."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from app.core.aio import cancel_and_wait
from app.core.errors import JobError
from app.core.manuscripts.text import language_of
from app.core.telemetry import tracing
from app.core.telemetry.metrics import SEGMENTS, engine_call
from workers.audio.leveller import Piece
from workers.audio.pcm import Pcm
from workers.audio.recording import Recording
from workers.core.blocking import in_thread
from workers.core.report import Pace, ProgressCallback
from workers.core.scratch import scratch_dir
from workers.speech.completeness import Take, heard, report_of
from workers.speech.duration_check import check_duration
from workers.speech.engine import Engine
from workers.speech.script import Script, Sound, Utterance, utterances
from workers.speech.segment_cache import SegmentCache, Spoken, name_of
from workers.speech.segments import segments

__all__ = ["Save", "Script", "Sound", "digest", "narrate"]

_DIGEST_CHARACTERS = 20
# Increase this with each change of the pipeline that makes another file of the same script.
_EDITION = 4
_OF_THE_TEXT = {"voice_crashed", "voice_timeout"}

Save = Callable[[Path, dict[str, Any]], Awaitable[None]]
"""Called with the finished file and the report on it (see `workers.speech.completeness`)."""


async def narrate(script: Script, engine: Engine, kept: SegmentCache, save: Save, report: ProgressCallback) -> float:
    """Speak `script`, pass the mp3 file and the report on it to `save`, and return its length in seconds.

    Segments that are in `kept` are not spoken again; others are stored there once they are spoken. The file is deleted
    when this returns. Reports `start`, `synthesis` with the segments done and in all, and `upload` once it is saved.
    Raises JobError: `nothing_to_say`, `implausible_audio`, what `engine` raises; Unavailable if the storage is away.
    """
    await report("start", 0, 0)
    planned = await _prepared(script, engine, kept)
    if not any(utterance.said for utterance in planned):
        raise JobError("nothing_to_say", "There is no text in this chapter that could be read aloud.")
    total = sum(utterance.cost for utterance in planned)
    await report("synthesis", 0, len(planned))
    takes: list[Take] = []
    with scratch_dir() as folder:
        path = folder / "chapter.mp3"
        sound = script.sound
        recording = Recording(path, script.tags, sound.encoding, sound.level, script.cover)
        async with recording, aclosing(_sounds(planned, engine, kept)) as sounds:
            voiced = 0
            async for utterance, pcm in sounds:
                if pcm and utterance.said:
                    await recording.add(Piece(pcm, utterance.pause, utterance.said.voice))
                takes.append(_take(utterance, pcm))
                voiced += utterance.cost
                await report("synthesis", len(takes), len(planned), Pace(voiced, total, kept=voiced > 0))
        await save(path, await in_thread(partial(report_of, takes)))
    await report("upload", 0, 0)
    return recording.seconds


def digest(script: Script, engine: Engine) -> str:
    """Return 20 hexadecimal digits that differ whenever the file of `script` by `engine` would."""
    cover = hashlib.sha256(script.cover.data).hexdigest() if script.cover else ""
    terms = [one.json_dict() for one in script.pronunciations]
    said = asdict(replace(script, cover=None, pronunciations=())) | {"cover": cover, "pronunciations": terms}
    parts = [_EDITION, engine.name, engine.fingerprint, engine.max_characters, engine.wants_words, said]
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


async def _sounds(
    planned: Sequence[Utterance], engine: Engine, kept: SegmentCache
) -> AsyncGenerator[tuple[Utterance, Pcm | None]]:
    """Yield each utterance with its sound, in order; as many are in flight as the engine voices at once."""
    coming: deque[tuple[Utterance, asyncio.Task[Pcm | None]]] = deque()
    waiting = iter(planned)
    try:
        while True:
            while len(coming) < engine.at_once and (utterance := next(waiting, None)):
                # The same words twice in a row are voiced only once.
                same = next((task for other, task in coming if other.said and other.name == utterance.name), None)
                coming.append((utterance, same or asyncio.create_task(_sound(utterance, engine, kept))))
            if not coming:
                return
            utterance, task = coming[0]
            pcm = await task
            coming.popleft()
            yield utterance, pcm
    finally:
        await cancel_and_wait(*(task for _, task in coming))


async def _sound(utterance: Utterance, engine: Engine, kept: SegmentCache) -> Pcm | None:
    if utterance.said is None:
        return None
    if utterance.kept and (pcm := await kept.get(utterance.name)):
        SEGMENTS.labels("kept").inc()
        return pcm
    said = utterance.said
    told: tracing.Attributes = {"smartvoice.engine": engine.name, "smartvoice.characters": len(said.text)}
    with engine_call(engine.name), tracing.span("speak", attributes=told):
        try:
            pcm = await _voiced(said, engine)
        except JobError as error:
            raise _placed(error, utterance) from error
        tracing.note({"smartvoice.seconds": pcm.seconds})
        check_duration(said.text, pcm, said.speed)
    if name_of(said, engine) != utterance.name:
        raise JobError("engine_failed", "The voice engine was changed meanwhile.", retryable=True)
    SEGMENTS.labels("voiced").inc()
    await kept.put(utterance.name, pcm)
    return pcm


def _placed(error: JobError, utterance: Utterance) -> JobError:
    """Return the error with the place in the chapter, if it is about the text."""
    if error.code not in _OF_THE_TEXT or utterance.end == 0:
        return error
    place = f"It is in characters {utterance.start + 1} to {utterance.end} of the chapter."
    return JobError(error.code, f"{error.message} {place}", retryable=error.retryable)


async def _voiced(said: Spoken, engine: Engine) -> Pcm:
    """Return the sound of an utterance, in several calls if respelling and normalising made it too long for one."""
    if len(said.text) <= engine.max_characters:
        return await engine.speak(said.text, said.voice, said.speed)
    parts = segments(said.text, language_of(said.text, "en"), engine.max_characters)
    sounds = [await engine.speak(part, said.voice, said.speed) for part in parts]
    if len({pcm.sample_rate for pcm in sounds}) > 1:
        raise JobError("engine_failed", "The voice engine changed its sample rate within a segment.")
    return Pcm(b"".join(pcm.samples for pcm in sounds), sounds[0].sample_rate)


async def _prepared(script: Script, engine: Engine, kept: SegmentCache) -> list[Utterance]:
    """Say what is to be spoken, by which voice, and what need not be voiced because it is, or will be, cached."""
    # In a thread: it takes time, and an engine may have to ask which voices there are.
    found = await in_thread(partial(utterances, script, engine))
    known = await kept.known(utterance.name for utterance in found if utterance.said)
    planned = []
    for utterance in found:
        planned.append(replace(utterance, kept=utterance.name in known))
        known.add(utterance.name)
    return planned


def _take(utterance: Utterance, pcm: Pcm | None) -> Take:
    said = utterance.said
    seconds, silent, clipped = heard(pcm)
    return Take(
        start=utterance.start,
        end=utterance.end,
        text=utterance.text,
        said=said.text if said else "",
        name=utterance.name,
        seconds=seconds,
        silent=silent,
        clipped=clipped,
        speed=said.speed if said else 1.0,
    )
