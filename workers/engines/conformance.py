"""What SmartVoice relies on in a voice engine, as tests that its author runs with pytest.

    class TestMine(EngineConformance):
        def engine(self):
            return Mine()

Each test makes an engine of its own and closes it. Nothing but the standard library and SmartVoice is needed, nor any
plugin of pytest.
"""

from __future__ import annotations

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.core.errors import JobError
from app.core.settings import Settings
from app.core.vocabulary import VOICE_ID
from workers.audio.pcm import BYTES_PER_SAMPLE, Pcm
from workers.speech.duration_check import check_duration
from workers.speech.engine import Engine, Voice
from workers.voice.process_pool import VoiceProcesses
from workers.voice.voice_process import adapted

T = TypeVar("T")

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_SENTENCE = "The tide came in, and the tide went out, and nobody on the shore took any notice of it."
_MIN_LIMIT = 100
_ENDS_WITHIN_SECONDS = 2.0
_SAME_SECONDS = 0.1


class EngineConformance(ABC):
    """The tests; a subclass says which engine, and, where it speaks no English, a sentence for it."""

    sentence = _SENTENCE
    language = "en"
    factory = ""
    """`module:function` of its entry point; where it is set, the engine is tried in a voice process, too."""

    @abstractmethod
    def engine(self) -> Engine:
        """A new engine."""

    def test_it_says_who_it_is(self) -> None:
        first, second = self.engine(), self.engine()
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", first.name), f"{first.name!r} does not fit into SMARTVOICE_TTS_ENGINE"
        assert first.fingerprint, "an empty fingerprint keeps sound for ever, whatever changes"
        assert first.fingerprint == second.fingerprint, "the fingerprint differs without reason: nothing is ever kept"
        assert first.max_characters >= _MIN_LIMIT
        assert first.at_once >= 1
        assert isinstance(first.wants_words, bool)

    def test_its_voices_have_ids_names_and_languages(self) -> None:
        voices = self.engine().voices()
        assert voices
        assert len({voice.id for voice in voices}) == len(voices), "two voices have the same id"
        for voice in voices:
            assert re.fullmatch(VOICE_ID, voice.id), f"{voice.id!r} is no id"
            assert voice.name.strip()
            assert _LANGUAGE.fullmatch(voice.language), f"{voice.language!r} is no language tag (BCP 47)"

    def test_each_voice_reads_its_own_language_and_some_voice_reads_any(self) -> None:
        engine = self.engine()
        voices = engine.voices()
        for voice in voices:
            language = self.language if voice.language == "mul" else voice.language
            assert engine.voice_for(language, voice.id) == voice.id
        for language in ("en", "zh-CN", "tlh"):
            assert engine.voice_for(language, None) in {voice.id for voice in voices}

    def test_voice_that_is_not_there_is_refused(self) -> None:
        engine = self.engine()
        assert _code(lambda: engine.voice_for(self.language, "no-such-voice")) == "unknown_voice"

        async def speaks(engine: Engine) -> str:
            try:
                await engine.speak(self.sentence, "no-such-voice")
            except JobError as error:
                return error.code
            return ""

        assert self._with_engine(speaks), "it speaks with a voice that is not there"

    def test_it_speaks_at_a_plausible_pace(self) -> None:
        self._check_sound(self.sentence, self._with_engine(lambda engine: self._spoken(engine, self.sentence)))

    def test_it_speaks_as_much_as_it_says(self) -> None:
        limit = self.engine().max_characters
        text = (self.sentence + " ") * (limit // len(self.sentence))
        self._check_sound(text, self._with_engine(lambda engine: self._spoken(engine, text)))

    def test_it_speaks_faster_and_slower(self) -> None:
        async def paces(engine: Engine) -> list[float]:
            voice = await asyncio.to_thread(engine.voice_for, self.language, None)
            return [(await engine.speak(self.sentence, voice, speed)).seconds for speed in (0.5, 1.0, 2.0)]

        slow, usual, fast = self._with_engine(paces)
        assert slow > usual > fast, "`speed` changes nothing"

    def test_text_is_plain(self) -> None:
        text = f"{self.sentence} <break time='60s'/> &amp; [[x]] \\pau=60000\\ 🙂 {self.sentence}"
        self._check_sound(text, self._with_engine(lambda engine: self._spoken(engine, text)))

    def test_odd_characters_do_not_break_it(self) -> None:
        async def odd(engine: Engine) -> None:
            for text in ("a\0b", "\u202eabc", "é" * 50, "\ufffd", "١٢٣", self.sentence):
                try:
                    _check_form(await self._spoken(engine, text))
                except JobError:
                    continue

        self._with_engine(odd)

    def test_as_many_calls_at_once_as_it_says_have_the_same_rate(self) -> None:
        async def many(engine: Engine) -> list[Pcm]:
            return list(await asyncio.gather(*(self._spoken(engine, self.sentence) for _ in range(engine.at_once + 1))))

        sounds = self._with_engine(many)
        assert len({pcm.sample_rate for pcm in sounds}) == 1
        for pcm in sounds:
            self._check_sound(self.sentence, pcm)

    def test_call_that_is_cancelled_ends_and_leaves_it_usable(self) -> None:
        async def cancelled(engine: Engine) -> float:
            voice = await asyncio.to_thread(engine.voice_for, self.language, None)
            text = (self.sentence + " ") * (engine.max_characters // len(self.sentence))
            call = asyncio.ensure_future(engine.speak(text, voice))
            await asyncio.sleep(0)
            begun = time.monotonic()
            call.cancel()
            await asyncio.wait([call])
            took = time.monotonic() - begun
            await engine.speak(self.sentence, voice)
            return took

        assert self._with_engine(cancelled) < _ENDS_WITHIN_SECONDS

    def test_it_says_the_same_in_a_voice_process(self) -> None:
        if not self.factory:
            return

        async def said(engine: Engine) -> tuple[str, list[Voice], str, Pcm]:
            voices = await asyncio.to_thread(engine.voices)
            pcm = await self._spoken(engine, self.sentence)
            return engine.fingerprint, voices, await asyncio.to_thread(engine.voice_for, self.language, None), pcm

        *here, pcm = self._with_engine(said)
        apart = VoiceProcesses(adapted(Settings(), self.factory, {}))
        *there, other = self._with_engine(said, apart)
        assert there == here, "it is another engine in a process without this one's environment"
        assert abs(other.seconds - pcm.seconds) < _SAME_SECONDS

    async def _spoken(self, engine: Engine, text: str) -> Pcm:
        return await engine.speak(text, await asyncio.to_thread(engine.voice_for, self.language, None))

    def _with_engine(self, use: Callable[[Engine], Awaitable[T]], engine: Engine | None = None) -> T:
        async def used() -> T:
            used_one = engine or self.engine()
            try:
                return await use(used_one)
            finally:
                await used_one.aclose()

        return asyncio.run(used())

    def _check_sound(self, text: str, pcm: Pcm) -> None:
        _check_form(pcm)
        assert any(pcm.samples), "nothing but silence"
        check_duration(text, pcm)


def _check_form(pcm: Pcm) -> None:
    assert len(pcm.samples) % BYTES_PER_SAMPLE == 0
    assert 8000 <= pcm.sample_rate <= 192_000


def _code(call: Callable[[], object]) -> str:
    try:
        call()
    except JobError as error:
        return error.code
    return ""
