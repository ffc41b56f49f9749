"""A voice engine for SmartVoice that hums a tone for as long as somebody would speak."""

from __future__ import annotations

import array
import math

from smartvoice.engines import JobError, Pcm, Settings, Voice, choose_voice

_RATE = 16_000
_SECONDS_PER_CHARACTER = 0.07
_VOICES = {"low": 110, "high": 220}


class Hum:
    """The engine `hum`."""

    name = "hum"
    fingerprint = "hum 1.0"
    max_characters = 1000
    at_once = 2
    wants_words = False

    def voices(self) -> list[Voice]:
        return [Voice(id, id.title(), "mul") for id in _VOICES]

    def voice_for(self, language: str, wanted: str | None) -> str:
        return choose_voice(self.voices(), {}, language, wanted)

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        if voice not in _VOICES:
            raise JobError("unknown_voice", f"There is no voice called {voice!r}.")
        turn = 2 * math.pi * _VOICES[voice] / _RATE
        count = int(len(text) * _SECONDS_PER_CHARACTER * _RATE / speed)
        return Pcm(array.array("h", (int(8000 * math.sin(turn * at)) for at in range(count))).tobytes(), _RATE)

    async def aclose(self) -> None:
        pass


def make(settings: Settings) -> Hum:
    return Hum()
