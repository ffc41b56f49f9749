from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.stack import Stack
from tests.support import Client


@pytest.fixture
async def alice(stack: Stack) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=60) as client:
        yield Client(client)
