"""Which voice engine the settings name: one of ours, or a plugin's; all are found in the same way."""

from __future__ import annotations

from app.core import engines
from app.core.settings import Settings
from workers.speech.engine import Engine, EngineFactory


class NoEngine(Exception):
    """There is no such engine here, or it cannot be loaded; the message says what to do."""


def engine_of(settings: Settings) -> Engine:
    """The engine to speak with; its module is loaded, but nothing is started or called yet. Raises NoEngine."""
    name = settings.tts_engine
    entry = engines.installed().get(name)
    if entry is None:
        raise NoEngine(f"No voice engine {name!r} is installed here. SMARTVOICE_TTS_ENGINE may be: {engines.listed()}.")
    try:
        make: EngineFactory = entry.load()
    except (ImportError, AttributeError) as error:
        raise NoEngine(f"The voice engine {name!r} ({entry.value}) cannot be loaded: {error}.") from error
    return make(settings)
