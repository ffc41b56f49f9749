"""Which voice engine the settings name."""

from __future__ import annotations

from app.core.settings import Settings
from workers.speech.engine import Engine
from workers.speech.espeak import Espeak
from workers.speech.openai import OpenAi, Service


def engine_of(settings: Settings) -> Engine:
    """The engine to speak with; nothing is loaded or called yet."""
    if settings.tts_engine == "espeak":
        return Espeak()
    return OpenAi(
        Service(
            url=settings.tts_base_url,
            api_key=settings.tts_api_key.get_secret_value(),
            model=settings.tts_model,
            voices=settings.tts_voices,
            speed=settings.tts_speed,
            wants_words=settings.tts_write_out,
            format=settings.tts_format,
            max_characters=settings.tts_max_characters,
            at_once=settings.tts_concurrency,
            timeout=settings.tts_timeout_seconds,
            tries=settings.tts_tries,
        )
    )
