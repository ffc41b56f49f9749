"""What a voice engine is to the rest of SmartVoice: plain text and a voice in, sound out.

A package of anybody's adds one by naming an `EngineFactory` in the entry-point group `smartvoice.engines`;
`workers.engines.conformance` tries what is promised here (docs/develop/engines.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from app.core.errors import JobError
from app.core.settings import Settings
from workers.audio.pcm import Pcm

ANY_LANGUAGE = "mul"
"""The language of a voice that speaks whichever the text is in: BCP 47 for several languages."""


@dataclass(frozen=True)
class Voice:
    """A voice: an id that fits into a URL, a name for people, and its language as BCP 47 (`zh-CN`, `en-US`, `mul`)."""

    id: str
    name: str
    language: str

    def speaks(self, language: str) -> bool:
        """Whether this voice reads `language`, whatever the region: `en-US` speaks `en` and `en-GB`, `mul` all."""
        return self.language == ANY_LANGUAGE or self.is_of(language)

    def is_of(self, language: str) -> bool:
        """Whether this voice's own language is `language`, whatever the region."""
        return _primary(self.language) == _primary(language)


class Engine(Protocol):
    """A voice engine. What it raises is JobError (`engine_failed`, `unknown_voice`, `tts_…` of a voice service)."""

    @property
    def name(self) -> str:
        """The engine's name in settings and logs."""
        ...

    @property
    def fingerprint(self) -> str:
        """Whatever besides text and voice changes the sound: version, model, speed."""
        ...

    @property
    def max_characters(self) -> int:
        """The longest text that `speak` takes."""
        ...

    @property
    def at_once(self) -> int:
        """How many calls of `speak` go on at once for a worker process; more of them wait for their turn."""
        ...

    @property
    def wants_words(self) -> bool:
        """Whether numbers, dates and the like are to be written out for it: it would read them wrong itself."""
        ...

    def voices(self) -> list[Voice]:
        """Every voice there is. May take a while the first time: call it through a thread. Raises JobError."""
        ...

    def voice_for(self, language: str, wanted: str | None) -> str:
        """The id of the voice that reads a text in `language` where `wanted` was asked for.

        `wanted` if it speaks `language`, or if no voice does; else the engine's default for `language`.
        May take as long as `voices`. Raises JobError (`unknown_voice`) where there is no voice `wanted`.
        """
        ...

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        """The sound of `text`, `speed` times as fast as usual (0.5 to 2).

        The text is plain: nothing in it is markup. Ends at once if cancelled. Raises JobError.
        """
        ...

    async def aclose(self) -> None:
        """Lets go of what the engine holds open; it is not used afterwards."""
        ...


EngineFactory = Callable[[Settings], Engine]
"""What makes an engine for these settings. Nothing is loaded or called yet: an engine that runs in the worker is made
before that takes work, and forks."""


def choose_voice(voices: Iterable[Voice], defaults: dict[str, str], language: str, wanted: str | None) -> str:
    """What `Engine.voice_for` promises, for `defaults` from language to voice id.

    Without a default, a voice of the very language goes before one that speaks any; the last resort is the first
    default, else the first voice.
    """
    by_id = {voice.id: voice for voice in voices}
    if wanted is not None and wanted not in by_id:
        raise JobError("unknown_voice", f"There is no voice called {wanted!r}.")
    if wanted is not None and by_id[wanted].speaks(language):
        return wanted
    default = next((id for key, id in defaults.items() if _primary(key) == _primary(language)), None)
    if default is None:
        speakers = [voice for voice in by_id.values() if voice.speaks(language)]
        default = next((voice.id for voice in sorted(speakers, key=lambda voice: not voice.is_of(language))), None)
    return default or wanted or next(iter([*defaults.values(), *by_id]))


def _primary(language: str) -> str:
    return language.partition("-")[0].lower()
