"""What a voice engine is to the rest of SmartVoice: plain text and a voice in, sound out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from app.core.errors import JobError

BYTES_PER_SAMPLE = 2


@dataclass(frozen=True)
class Pcm:
    """Sound: `samples` are signed 16-bit little-endian, one channel, `sample_rate` of them a second."""

    samples: bytes
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / BYTES_PER_SAMPLE / self.sample_rate


@dataclass(frozen=True)
class Voice:
    """A voice: an id that fits into a URL, a name for people, and its language as BCP 47 (`zh-CN`, `en-US`)."""

    id: str
    name: str
    language: str

    def speaks(self, language: str) -> bool:
        """Whether this voice's language is `language`, whatever the region: `en-US` speaks `en` and `en-GB`."""
        return _primary(self.language) == _primary(language)


class Engine(Protocol):
    """A voice engine. What it raises is JobError (`engine_failed`, `unknown_voice`)."""

    @property
    def name(self) -> str:
        """The engine's name in settings and logs."""
        ...

    @property
    def fingerprint(self) -> str:
        """Whatever besides text and voice changes the sound: version, model, speed."""
        ...

    @property
    def at_once(self) -> int:
        """How many texts it voices at the same time."""
        ...

    @property
    def max_characters(self) -> int:
        """The longest text that `speak` takes."""
        ...

    def voices(self) -> list[Voice]:
        """Every voice there is. May take a while the first time; raises JobError (`engine_failed`)."""
        ...

    def voice_for(self, language: str, wanted: str | None) -> str:
        """The id of the voice that reads a text in `language` where `wanted` was asked for.

        `wanted` if it speaks `language`, or if no voice does; else the engine's default for `language`.
        Raises JobError (`unknown_voice`) where there is no voice `wanted`.
        """
        ...

    async def speak(self, text: str, voice: str) -> Pcm:
        """The sound of `text`, which is plain: nothing in it is markup. Raises JobError."""
        ...

    async def aclose(self) -> None:
        """Lets go of whatever it holds open."""
        ...


def choose_voice(voices: Iterable[Voice], defaults: dict[str, str], language: str, wanted: str | None) -> str:
    """What `Engine.voice_for` promises, for `defaults` from language to voice id; its first is the last resort."""
    by_id = {voice.id: voice for voice in voices}
    if wanted is not None and wanted not in by_id:
        raise JobError("unknown_voice", f"There is no voice called {wanted!r}.")
    if wanted is not None and by_id[wanted].speaks(language):
        return wanted
    default = next((id for key, id in defaults.items() if _primary(key) == _primary(language)), None)
    if default is None:
        default = next((voice.id for voice in by_id.values() if voice.speaks(language)), None)
    return default or wanted or next(iter(defaults.values()))


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()
