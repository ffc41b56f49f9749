"""A chapter narrated by a whole stack, whichever its engine."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support import Client, until


async def engine_told(http: httpx.AsyncClient) -> str:
    """The engine that the stack's workers tell of, once one of them has."""

    async def voices() -> Any:
        answer = await http.get("/api/voices")
        return answer.is_success and answer.json()

    return str((await until(voices))["engine"])


async def narrated(client: Client, text: str, voice: str) -> tuple[str, dict[str, str]]:
    """The id of a new project with `text` as its only chapter, and that chapter when its audio is there."""
    project = (await client.create(text, title="Tide", voice=voice))["id"]

    async def chapters() -> list[dict[str, str]]:
        return list((await client.project(project))["chapters"])

    [chapter] = await until(chapters)
    await client.narrate(project, chapter["id"])

    async def ready() -> dict[str, str] | None:
        [found] = await chapters()
        return found if found["audioUrl"] else None

    found: dict[str, str] = await until(ready)
    return project, found
