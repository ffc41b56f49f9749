from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.stack import Stack, running
from tests.support import Client


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running() as stack:
        yield stack


@pytest.fixture
async def alice(stack: Stack) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=60) as client:
        yield Client(client)
