"""An engine whose calls are made in voice processes, of which each makes one at a time.

What becomes of a call whose process ends:

- killed from outside: made again in another process, some times.
- crashed or out of time, in a process that had spoken before: once more in a new one, for what came before may have
  broken it.
- crashed or out of time in a new process: it is the text. It is spoken in smaller pieces; where one of them ends its
  process again, the call fails as `voice_crashed` or `voice_timeout`, and names that piece.
- cancelled: the process is ended, wherever it is.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

import structlog

from app.core.errors import JobError
from app.core.telemetry.metrics import VOICE_DEATHS, labelled
from workers.audio.pcm import Pcm
from workers.core.scratch import scratch_dir
from workers.speech.engine import Voice, choose_voice
from workers.speech.segments import segments
from workers.voice.voice_process import VoiceDied, VoiceProcess, VoiceProgram

logger = structlog.get_logger()

T = TypeVar("T")

_MAX_THREADS = 64
_MAX_KILLS = 4
_KILL_PAUSE = 0.1
_PIECE = 80  # characters
_MIN_PIECE = 8
_EXCERPT = 60
_KNOWN_CHOICES = 1024


@dataclass(frozen=True)
class _Facts:
    """What a voice process tells of its engine."""

    name: str
    fingerprint: str
    max_characters: int
    at_once: int
    wants_words: bool
    voices: list[Voice]
    defaults: dict[str, str] | None

    @staticmethod
    def of(told: Mapping[str, Any]) -> _Facts:
        """Raises LookupError, TypeError, ValueError."""
        return _Facts(
            name=str(told["name"]),
            fingerprint=str(told["fingerprint"]),
            max_characters=int(told["maxCharacters"]),
            at_once=int(told["atOnce"]),
            wants_words=bool(told["wantsWords"]),
            voices=[Voice(one["id"], one["name"], one["language"]) for one in told["voices"]],
            defaults=told["defaults"],
        )


class VoiceProcesses:
    """The engine of `program`, as `workers.speech.engine.Engine` has it: at most `at_once` processes of it.

    They are started when there is need, kept for the next call, and end with this object, or the worker.
    Whatever is asked of it for the first time blocks until a process has told its facts, and raises JobError.
    """

    def __init__(self, program: VoiceProgram) -> None:
        self._program = program
        self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="voice")
        self._known = threading.Lock()
        self._pool = _Pool(program)
        self._end = weakref.finalize(self, _ended, self._pool, self._threads)
        self._facts_found: _Facts | None = None
        self._chosen = lru_cache(_KNOWN_CHOICES)(self._choice)

    @property
    def name(self) -> str:
        return self._facts.name

    @property
    def fingerprint(self) -> str:
        return self._facts.fingerprint

    @property
    def max_characters(self) -> int:
        return self._facts.max_characters

    @property
    def at_once(self) -> int:
        return self._facts.at_once

    @property
    def wants_words(self) -> bool:
        return self._facts.wants_words

    def voices(self) -> list[Voice]:
        """Every voice. Raises JobError."""
        return list(self._facts.voices)

    def voice_for(self, language: str, wanted: str | None) -> str:
        """The id of the voice for `language`: see `Engine.voice_for`. Raises JobError (`unknown_voice`)."""
        if self._facts.defaults is not None:
            return choose_voice(self._facts.voices, self._facts.defaults, language, wanted)
        return self._chosen(language, wanted)

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        """The sound of `text` in the voice of that id.

        Raises JobError: what the engine raises, `voice_crashed`, `voice_timeout`, `voice_lost` (retryable).
        """
        if self._facts_found is None:
            await self._in_thread(_Call(), lambda: self._facts)
        async with self._places:
            try:
                return await self._whole(text, voice, speed)
            except VoiceDied:
                pieces = _pieces(text)
            return _joined([await self._piece(piece, voice, speed) for piece in pieces])

    def rest(self) -> None:
        """Ends the processes that nobody is using, where the next call starts one in a moment; blocks."""
        if self._program.light:
            self._pool.rest()

    async def aclose(self) -> None:
        """Ends the processes."""
        self._end()

    @cached_property
    def _places(self) -> asyncio.Semaphore:
        return asyncio.Semaphore(self._facts.at_once)

    @property
    def _facts(self) -> _Facts:
        with self._known:
            if self._facts_found is None:
                self._facts_found = self._ask({"ask": "facts"}, _Facts.of)
            return self._facts_found

    def _choice(self, language: str, wanted: str | None) -> str:
        return self._ask({"ask": "voice", "language": language, "wanted": wanted}, str)

    def _ask(self, request: Mapping[str, Any], read: Callable[[Any], T]) -> T:
        """What is found out about the engine. Raises JobError (`engine_failed` where its process does not answer)."""
        try:
            return read(self._answer(request))
        except (VoiceDied, OSError) as error:
            if not isinstance(error, _Closed):
                logger.warning("voice_died", engine=self._program.speaker, asked=request["ask"], error=str(error))
            raise JobError("engine_failed", "The voice engine could not be started.", retryable=True) from error
        except (LookupError, TypeError, ValueError) as error:
            raise JobError("engine_failed", "The voice engine says nothing sensible of itself.") from error

    def _answer(self, request: Mapping[str, Any]) -> Any:
        """The reply of a process; where one is killed from outside, that of another. Raises VoiceDied, OSError."""
        kills = 0
        while True:
            try:
                return self._pool.ask(request, _Call())[0]
            except VoiceDied as death:
                kills += 1
                if death.ending != "killed" or kills == _MAX_KILLS:
                    raise

    async def _piece(self, piece: str, voice: str, speed: float) -> Pcm:
        try:
            return await self._whole(piece, voice, speed)
        except VoiceDied as death:
            said = _excerpt(piece)
            if death.ending == "timeout":
                raise JobError("voice_timeout", f"The voice took too long for this passage: “{said}”.") from death
            raise JobError("voice_crashed", f"The voice crashed at this passage: “{said}”.") from death

    async def _whole(self, text: str, voice: str, speed: float) -> Pcm:
        """The sound of `text` as one. Raises VoiceDied where it is this text that ends the process, JobError."""
        request = {"ask": "speak", "text": text, "voice": voice, "speed": speed}
        kills, new = 0, False
        while True:
            call = _Call()
            try:
                rate, sound = await self._in_thread(call, partial(self._pool.ask, request, call, new=new))
                return Pcm(sound, int(rate))
            except _Changed:
                self._facts_found = None
                self._chosen.cache_clear()
                raise JobError("engine_failed", "The voices were changed meanwhile.", retryable=True) from None
            except OSError as error:
                raise JobError("voice_lost", "A voice process could not be started.", retryable=True) from error
            except VoiceDied as death:
                logger.warning("voice_died", ending=death.ending, characters=len(text), error=str(death))
                labelled(VOICE_DEATHS, death.ending).inc()
                if death.ending == "killed":
                    kills += 1
                    if kills == _MAX_KILLS:
                        said = f"The voice process was killed from outside {kills} times."
                        raise JobError("voice_lost", said, retryable=True) from death
                    await asyncio.sleep(_KILL_PAUSE * kills)
                elif not death.used:
                    raise
                new = True

    async def _in_thread(self, call: _Call, work: Callable[[], T]) -> T:
        """What `work` returns. Whoever is cancelled ends the process that the call is made in. Raises JobError."""
        try:
            working = self._threads.submit(work)
        except RuntimeError as error:
            raise JobError("voice_lost", "The worker is leaving.", retryable=True) from error
        try:
            return await asyncio.wrap_future(working)
        except asyncio.CancelledError:
            call.give_up()
            raise


class _Call:
    """A request that is on its way, as long as it is; it can be given up from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: VoiceProcess | None = None
        self._given_up = False

    def begin(self, process: VoiceProcess) -> None:
        with self._lock:
            self._process = process
            if self._given_up:
                process.kill()

    def end(self) -> None:
        with self._lock:
            self._process = None

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            if self._process is not None:
                self._process.kill()


class _Closed(OSError):
    """The worker is leaving; no process is started any more."""


class _Changed(Exception):
    """A process that was started later speaks differently: what is kept of its sound would not be what is said."""


class _Pool:
    """The processes of one engine. Its methods block."""

    def __init__(self, program: VoiceProgram) -> None:
        self._program = program
        self._fingerprint = ""
        self._open = ExitStack()
        self._place: Path | None = None
        self._lock = threading.Lock()
        self._idle: list[VoiceProcess] = []
        self._all: set[VoiceProcess] = set()
        self._closed = False

    def ask(self, request: Mapping[str, Any], call: _Call, *, new: bool = False) -> tuple[Any, bytes]:
        """As `VoiceProcess.ask`; `new`: by one that has not been used. Raises also OSError where none can be started,
        _Changed."""
        while True:
            process = self._taken(new)
            rested = process.answered
            call.begin(process)
            try:
                if not rested:
                    self._check(process)
                found = process.ask(request)
            except VoiceDied as death:
                call.end()
                self._discard(process)
                if death.ending != "idle":
                    raise
                if not rested:
                    raise VoiceDied("crashed", death.used, "status 0") from death
            except _Changed:
                call.end()
                self._discard(process)
                raise
            except JobError:
                call.end()
                self._put_back(process)
                raise
            else:
                call.end()
                self._put_back(process)
                return found

    def _check(self, process: VoiceProcess) -> None:
        """All processes of an engine are to speak in the same way."""
        facts, _ = process.ask({"ask": "facts"})
        before, self._fingerprint = self._fingerprint, str(facts["fingerprint"])
        if before not in ("", self._fingerprint):
            raise _Changed

    def rest(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            self._discard(process)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            every, self._idle = list(self._all), []
        for process in every:
            self._discard(process)
        self._open.close()

    def _taken(self, new: bool) -> VoiceProcess:
        with self._lock:
            while self._idle and not new:
                process = self._idle.pop()
                if process.alive():
                    return process
                self._all.discard(process)
                process.close()
            if self._closed:
                raise _Closed("the engine is closed")
            process = VoiceProcess(self._program, self._folder())
            self._all.add(process)
            return process

    def _folder(self) -> Path:
        """An empty one, in which they are started; it goes with this pool, or is cleared away by another worker."""
        if self._place is None:
            self._place = self._open.enter_context(scratch_dir())
        return self._place

    def _put_back(self, process: VoiceProcess) -> None:
        with self._lock:
            # The last one back is the next one out, so that those not needed any more rest, and end.
            self._idle.append(process)

    def _discard(self, process: VoiceProcess) -> None:
        with self._lock:
            self._all.discard(process)
        process.close()


def _ended(pool: _Pool, threads: ThreadPoolExecutor) -> None:
    pool.close()
    threads.shutdown(wait=False)


def _pieces(text: str) -> list[str]:
    """`text` in pieces that are smaller than it."""
    limit = min(_PIECE, max(_MIN_PIECE, len(text) // 2))
    return [piece for piece in segments(text, "en", limit) if piece.strip()]


def _joined(sounds: list[Pcm]) -> Pcm:
    if len({pcm.sample_rate for pcm in sounds}) != 1:
        raise JobError("engine_failed", "The voice engine changed its sample rate within a segment.")
    return Pcm(b"".join(pcm.samples for pcm in sounds), sounds[0].sample_rate)


def _excerpt(text: str) -> str:
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return shown if len(shown) <= _EXCERPT else f"{shown[: _EXCERPT - 1]}…"
