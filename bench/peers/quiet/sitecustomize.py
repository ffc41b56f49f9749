"""Gives SmartVoice's workers a voice that says nothing: Python loads this before `smartvoice worker` itself.

With BENCH_WORK=none the pipeline (segments, files, encoder) is left out as well: a job then tells four times how far
it is, and ends. Queue, claim, lease, log and everything else are the worker's own.
"""

from __future__ import annotations

import os
from typing import Any


def _silence() -> None:
    from workers.audio.pcm import Pcm
    from workers.engines import registry
    from workers.speech.engine import Voice

    class Quiet:
        name = "quiet"
        fingerprint = "1"
        at_once = 1
        wants_words = True
        max_characters = 1800

        def voices(self) -> list[Voice]:
            return [Voice("quiet", "Quiet", "mul")]

        def voice_for(self, language: str, wanted: str | None) -> str:
            return "quiet"

        async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
            return Pcm(b"\1\0" * (2205 * max(len(text), 1)), 22050)

        async def aclose(self) -> None: ...

    vars(registry)["Espeak"] = Quiet


def _no_work() -> None:
    from workers.jobs import narrate_task, tasks

    async def narrate_chapter(runtime: Any, claim: Any, report: Any) -> Any:
        # With `start`, by which it is taken, and `done` these are four.
        await report("synthesis", 0, 1)
        await report("upload", 0, 0)
        return tasks.Made({"audioUrl": "/audios/x.mp3", "durationSeconds": 1.5}, {})

    narrate_task.narrate_chapter = narrate_chapter


if os.environ.get("BENCH_WORK"):
    _silence()
if os.environ.get("BENCH_WORK") == "none":
    _no_work()
