"""The world that faults are done to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.faults.rig import Rig, allow_sockets, rigged


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    allow_sockets(8192)
    async with rigged() as rig:
        yield rig
