"""Long runs of one unit are said some times, and prose is left as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.core.settings import Settings
from tests.workers.conftest import Remembered, Reports
from tests.workers.voice_fuzz import deaths_of_voices, fuzz
from workers.engines.registry import engine_of
from workers.pipeline.narration import Script, narrate
from workers.speech.repeated_runs import KEPT, shortened

TEXTS = int(os.environ.get("SMARTVOICE_VOICE_TEXTS", "60"))
PROSE = [
    "“No, no, no, no, no!” — Hahahahahaha! Brrrrrrrr… Aaaaaaaaaaaaaaaargh!!!",
    "哈哈哈哈哈哈哈哈哈哈！啊——————！等等……",
    "Pi is 3.14159, a googol is 1" + "0" * 100 + ", and 0101" * 30,
    "Chapter 1 " + "." * KEPT + " 7",
    "the " + "very " * KEPT + "last",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_left_as_it_is(text: str) -> None:
    assert shortened(text) == text


@pytest.mark.parametrize("unit", ["ha", "s'", "anti", "Z.", "a", "哈", "no ", "antidis", "- ", "🙂", "e\u0301", "ha\n"])
def test_unit_that_goes_on_and_on_is_said_some_times(unit: str) -> None:
    said = shortened(f"He said: {unit * 1000} and left.")
    assert said.count(unit.strip()) in range(KEPT, KEPT + 3)
    assert said.startswith("He said: ")
    assert said.endswith(" and left.")
    assert shortened(said) == said


async def test_killing_text_is_narrated(reports: Reports) -> None:
    text = "\n\n".join(unit * 400 for unit in ("s'", "anti", "un", "Z."))
    script = Script(text, "T", "T", "SmartVoice", track=1, tracks=1, language="en", voice="de")

    async def save(path: Path, report: dict[str, Any]) -> None:
        assert path.stat().st_size > 10_000

    engine = engine_of(Settings())
    before = deaths_of_voices()
    seconds = await narrate(script, engine, Remembered(), save, reports)
    await engine.aclose()
    assert seconds > 10
    assert deaths_of_voices() == before


async def test_no_text_fails_by_the_embedded_voice(capsys: pytest.CaptureFixture[str]) -> None:
    engine = engine_of(Settings())
    outcomes = await fuzz(engine, range(TEXTS))
    await engine.aclose()
    with capsys.disabled():
        print(f" {TEXTS} texts: {dict(outcomes)}; voices that ended: {deaths_of_voices() or 'none'}", end="")
    assert outcomes.keys() <= {"spoken", "nothing to say"}
    assert outcomes.total() == TEXTS
