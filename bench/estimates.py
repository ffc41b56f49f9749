"""How long the embedded voice speaks for each character: `python -m bench.estimates`.

The texts are those of the corpus, spoken as narration does, pauses included; what it prints is in
`app.core.projects.estimate`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from app.core.manuscripts.text import language_of
from app.core.settings import Settings
from app.core.vocabulary import LANGUAGES, Language
from workers.audio.pcm import Pcm
from workers.core.report import Pace
from workers.engines.registry import engine_of
from workers.pipeline.narration import Script, narrate
from workers.speech.engine import Engine

_TEXTS = Path(__file__).parents[1] / "tests" / "manuscripts" / "texts"


class _Nothing:
    """Nothing is kept."""

    async def known(self, names: object) -> set[str]:
        return set()

    async def get(self, name: str) -> Pcm | None:
        return None

    async def put(self, name: str, pcm: Pcm) -> None:
        """Forgotten."""


async def _silent(stage: str, done: int, total: int, pace: Pace | None = None) -> None:
    """Nobody listens."""


async def _drop(file: Path, report: dict[str, Any]) -> None:
    """Nobody keeps it."""


async def _measure(language: Language, engine: Engine) -> None:
    texts = (path.read_text("utf-8") for path in sorted(_TEXTS.glob("*.txt")))
    text = "\n\n".join(text for text in texts if language_of(text, "en") == language)
    script = Script(text, "", "", "", 1, 1, language, None)
    seconds = await narrate(script, engine, _Nothing(), _drop, _silent)
    print(f"{language:6} {len(text):6} characters {seconds:7.1f} s {seconds / len(text):.4f} s each")


async def _main() -> None:
    engine = engine_of(Settings(tts_engine="espeak"))
    for language in LANGUAGES:
        await _measure(language, engine)


if __name__ == "__main__":
    asyncio.run(_main())
