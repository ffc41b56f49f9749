"""What the tests of the synthesis side share."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import settings

from app.core.jobs.progress import progress
from app.core.vocabulary import Queue
from workers.audio.pcm import Pcm
from workers.core.report import Pace

# How long one example takes says nothing on a machine that does other things at once.
settings.register_profile("workers", deadline=None)
settings.load_profile("workers")


class Reports:
    """A `Report` that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []
        self.paces: list[Pace] = []

    async def __call__(self, stage: str, done: int, total: int, pace: Pace | None = None) -> None:
        self.told.append((stage, done, total))
        self.paces += [pace] if pace else []

    @property
    def stages(self) -> list[str]:
        return list(dict.fromkeys(stage for stage, _, _ in self.told))

    def percentages(self, queue: Queue) -> list[int]:
        return [progress(queue, stage, "en", done=done, total=total).percentage for stage, done, total in self.told]


class Remembered:
    """A `Kept` in memory."""

    def __init__(self) -> None:
        self.sounds: dict[str, Pcm] = {}

    async def known(self, names: Iterable[str]) -> set[str]:
        return {name for name in names if name in self.sounds}

    async def get(self, name: str) -> Pcm | None:
        return self.sounds.get(name)

    async def put(self, name: str, pcm: Pcm) -> None:
        self.sounds[name] = pcm


@pytest.fixture
def reports() -> Reports:
    return Reports()
