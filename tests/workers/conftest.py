"""What the tests of the synthesis side share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from app.core.messages import Queue, progress

# How long one example takes says nothing on a machine that does other things at once.
settings.register_profile("workers", deadline=None)
settings.load_profile("workers")


class Reports:
    """A `Report` that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    async def __call__(self, stage: str, done: int, total: int) -> None:
        self.told.append((stage, done, total))

    @property
    def stages(self) -> list[str]:
        return list(dict.fromkeys(stage for stage, _, _ in self.told))

    def percentages(self, queue: Queue) -> list[int]:
        return [progress(queue, stage, "en", done=done, total=total).percentage for stage, done, total in self.told]


@pytest.fixture
def reports() -> Reports:
    return Reports()
