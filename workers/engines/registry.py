"""Which voice engine the settings name: one of ours, or a plugin's; all are found in the same way.

A plugin runs in voice processes, and is not loaded here, unless it says that it belongs into the worker.
"""

from __future__ import annotations

from app.core import voice_engines
from app.core.settings import Settings
from workers.speech.engine import Engine, EngineFactory
from workers.voice.process_pool import VoiceProcesses
from workers.voice.voice_process import adapted

_GIVEN = {"tts_engine", "tts_model", "tts_voices", "tts_speed", "tts_write_out", "tts_format", "tts_max_characters"}
"""The settings that a plugin in a voice process is given: none of them is a secret or leads to one."""
_GIVEN |= {"tts_concurrency", "tts_timeout_seconds", "tts_tries", "worker_processes"}


class NoEngine(Exception):
    """There is no such engine here, or it cannot be loaded; the message says what to do."""


def engine_of(settings: Settings) -> Engine:
    """The engine to speak with; nothing is started or called yet. Raises NoEngine."""
    name = settings.tts_engine
    entry = voice_engines.installed().get(name)
    if entry is None:
        raise NoEngine(
            f"No voice engine {name!r} is installed here. SMARTVOICE_TTS_ENGINE may be: {voice_engines.listed()}."
        )
    if not voice_engines.in_worker(entry):
        return VoiceProcesses(adapted(settings, entry.value, settings.model_dump(include=_GIVEN)))
    try:
        make: EngineFactory = entry.load()
    except (ImportError, AttributeError) as error:
        raise NoEngine(f"The voice engine {name!r} ({entry.value}) cannot be loaded: {error}.") from error
    return make(settings)
