"""The sample project that `up --sample` adds: parsed, and its first chapter narrated."""

from __future__ import annotations

from typing import Any

import httpx

from tests.stack import Stack
from tests.support import Client, until


async def narrate_sample(stack: Stack) -> None:
    """Returns when the sample's first chapter can be played."""
    headers = {"Authorization": f"Bearer {stack.token('admin')}"}
    async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=60) as http:
        alice = Client(http)
        [sample] = (await http.get("/api/projects")).json()["projects"]

        async def chapters() -> list[dict[str, Any]]:
            return list((await alice.project(sample["id"]))["chapters"])

        first = (await until(chapters, 60))[0]
        await alice.narrate(sample["id"], first["id"])

        async def audio() -> str | None:
            found: str | None = (await chapters())[0]["audioUrl"]
            return found

        sound = await http.get(await until(audio, 60))
        assert (sound.status_code, sound.headers["content-type"]) == (200, "audio/mpeg")
        assert len(sound.content) > 10_000
