"""Chapters that end the voice process which speaks them, of one user, beside narrations of three others."""

from __future__ import annotations

import random
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx

from tests.faults.rig import Rig, Web, Worker
from tests.support import until

OTHERS = ("alice", "bob", "carol")
_SECONDS = 600.0
_SENTENCE = "The lamp of the house burned all night long, and nobody knew why it did. "
# Of two units in no order: no run of one, which would be cut.
_UNITS = ("anti", "non")
_COUNT = 150


def killing(number: int) -> str:
    """A chapter of one word of some 500 letters, which overflows eSpeak NG's buffers."""
    chance = random.Random(number)
    return "".join(chance.choice(_UNITS) for _ in range(_COUNT))


@dataclass(frozen=True)
class Narrations:
    """Some chapters of a user that are to be narrated."""

    http: httpx.AsyncClient
    project: str

    @classmethod
    async def of(cls, http: httpx.AsyncClient, texts: list[str]) -> Narrations:
        """A project with these chapters, parsed."""
        text = "\n\n".join(f"Chapter {number}\n\n{text}" for number, text in enumerate(texts, 1))
        made = await http.post("/api/projects", json={"title": "Book", "text": text, "language": "en"})
        found = cls(http, str(made.raise_for_status().json()["id"]))

        async def parsed() -> bool:
            return len(await found.chapters()) == len(texts)

        await until(parsed, _SECONDS)
        return found

    async def ask(self) -> None:
        (await self.http.post(f"/api/projects/{self.project}/audio")).raise_for_status()

    async def chapters(self) -> list[dict[str, Any]]:
        answer = await self.http.get(f"/api/projects/{self.project}")
        return list(answer.raise_for_status().json()["chapters"])

    async def states(self) -> list[str]:
        """The state of each chapter's narration."""
        return [chapter["job"]["state"] for chapter in await self.chapters()]

    async def ended(self) -> list[str]:
        """The states, once none is waiting or active."""

        async def over() -> list[str]:
            found = await self.states()
            return [] if {"waiting", "active"} & set(found) else found

        return list(await until(over, _SECONDS))


async def seconds_beside(rig: Rig, web: Web, worker: Worker, killers: int, characters: int) -> tuple[float, list[str]]:
    """Seconds until three users have a chapter of so many `characters` each, and the states of the killing chapters.

    They ask when the first voice has ended by one of the `killers`.
    """
    async with AsyncExitStack() as stack:

        async def client(user: str) -> httpx.AsyncClient:
            return await stack.enter_async_context(rig.client_of(web, user))

        text = _SENTENCE * (characters // len(_SENTENCE))
        others = [await Narrations.of(await client(f"{user}-{killers}"), [text]) for user in OTHERS]
        mallory = None
        if killers:
            mallory = await Narrations.of(await client("mallory"), [killing(number) for number in range(killers)])
            await mallory.ask()
            await until(lambda: "voice_died" in worker.output, _SECONDS)
        began = time.monotonic()
        for one in others:
            await one.ask()
        assert [await one.ended() for one in others] == [["completed"]] * len(others)
        return time.monotonic() - began, await mallory.ended() if mallory else []
