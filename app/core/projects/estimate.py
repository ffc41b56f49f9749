"""How long the audio of a text will be, and what it will cost: before anything is paid for."""

from __future__ import annotations

from typing import NamedTuple

from app.core.settings import Settings
from app.core.vocabulary import Language

SECONDS_PER_CHARACTER: dict[Language, float] = {"zh-CN": 0.22, "en": 0.065}
"""What the embedded voice takes, pauses included (`python -m bench.estimates`); other voices are about as fast."""


class Estimate(NamedTuple):
    """`seconds` of audio, and its `cost` in the operator's currency; None where they set no price."""

    seconds: float
    cost: float | None


def estimate(characters: int, language: Language, settings: Settings, speed: float = 1.0) -> Estimate:
    """What to expect of so many characters in a language, read at `speed` times the voice's own."""
    if settings.tts_engine == "openai":
        speed *= settings.tts_speed
    price = settings.price_per_million_characters
    cost = round(characters * price / 1_000_000, 6) if price else None
    return Estimate(round(characters * SECONDS_PER_CHARACTER[language] / speed, 1), cost)
