"""Whatever happens to readers, logs, Redis and the web side: at every quiet point each reader's picture is the truth.

Hypothesis makes up histories of jobs, readers and faults, against real processes: a Redis and two web processes that
share it. `SMARTVOICE_SOAK_EXAMPLES` says how many; without it the same few are played each time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.delivery.machine import Delivery
from tests.delivery.world import World

_SOAK = os.environ.get("SMARTVOICE_SOAK_EXAMPLES")
_EXAMPLES = int(_SOAK or 200)
_STEPS = 25


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    # Short, because a socket's path must be.
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    monkeypatch.chdir(folder)
    world = World(folder)
    try:
        yield world
    finally:
        world.close()
        shutil.rmtree(folder)


@pytest.mark.timeout(300 + _EXAMPLES)
def test_every_reader_has_the_true_picture_whatever_happens(world: World) -> None:
    class InWorld(Delivery):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        InWorld,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=_STEPS,
            deadline=None,
            database=None,
            derandomize=_SOAK is None,
            suppress_health_check=list(HealthCheck),
        ),
    )
