"""The speaker of any engine that is written for a worker, a plugin's or Piper; runs in a voice process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

from app.core.settings import Settings
from app.core.telemetry.logs import configure_logs
from workers.speech.engine import Engine, EngineFactory

_CHUNK = 256 * 1024


def open_speaker(options: dict[str, Any]) -> EngineSpeaker:
    """The engine that `make` (`module:function`) makes of `settings`; `defaults` as `Speaker.facts` has them."""
    # Only what the worker passed on: neither an environment nor a file.
    settings = Settings(_env_file=None, **options["settings"])
    configure_logs(settings.log_format)
    make: EngineFactory = EntryPoint("engine", options["make"], "").load()
    return EngineSpeaker(make(settings), options["defaults"])


class EngineSpeaker:
    """An engine on an event loop that runs for as long as it is asked."""

    def __init__(self, engine: Engine, defaults: dict[str, str] | None) -> None:
        self._engine = engine
        self._defaults = defaults
        self._loop = asyncio.new_event_loop()

    def facts(self) -> dict[str, Any]:
        engine = self._engine
        # The voices first: what else an engine tells may follow from them.
        voices = [{"id": one.id, "name": one.name, "language": one.language} for one in engine.voices()]
        return {
            "name": engine.name,
            "fingerprint": engine.fingerprint,
            "maxCharacters": engine.max_characters,
            "atOnce": engine.at_once,
            "wantsWords": engine.wants_words,
            "voices": voices,
            "defaults": self._defaults,
        }

    def voice_for(self, language: str, wanted: str | None) -> str:
        return self._engine.voice_for(language, wanted)

    def speak(self, text: str, voice: str, speed: float, on_sound: Callable[[bytes], None]) -> int:
        pcm = self._loop.run_until_complete(self._engine.speak(text, voice, speed))
        for start in range(0, len(pcm.samples), _CHUNK):
            on_sound(pcm.samples[start : start + _CHUNK])
        return pcm.sample_rate
