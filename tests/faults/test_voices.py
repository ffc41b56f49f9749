"""One user's chapters end voice after voice; everybody else's narrations, and the worker, go on."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.faults.killing import seconds_beside
from tests.faults.rig import Rig

KILLERS = int(os.environ.get("SMARTVOICE_KILLING_CHAPTERS", "4"))
CHARACTERS = int(os.environ.get("SMARTVOICE_CHARACTERS_BESIDE", "1000"))


async def test_killing_chapters_of_one_user_cost_nobody_else_anything(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    worker, web = await rig.worker(), await rig.web()
    alone, _ = await seconds_beside(rig, web, worker, 0, CHARACTERS)
    beside, killers = await seconds_beside(rig, web, worker, KILLERS, CHARACTERS)
    deaths = worker.output.count("voice_died")
    with capsys.disabled():
        print(f" three others: {alone:.2f} s alone, {beside:.2f} s beside {KILLERS} killing chapters", end="")
        print(f" (ratio {beside / alone:.2f}); {deaths} voices ended, chapters {dict(Counter(killers))}", end="")
    assert deaths >= KILLERS
    # In small pieces they are spoken.
    assert killers == ["completed"] * KILLERS
    assert "requeued" not in worker.output
    assert worker.output.count("ready for action") == 1
