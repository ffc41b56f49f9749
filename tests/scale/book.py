"""A book that is narrated while things fail, and what must be true of it and of its readers afterwards."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

import httpx

from app.core.eventlog.cursor import Cursor
from tests.faults.readers import ENDS, Reading, Told
from tests.support import until

CHAPTERS = 6
_SENTENCES = 40  # of a chapter: some seconds of work for a voice and an encoder
_PATIENCE_SECONDS = 60


class Book:
    """A project of some chapters of so many `sentences`, by a client that asks again until it is answered."""

    def __init__(self, http: httpx.AsyncClient, sentences: int = _SENTENCES) -> None:
        self._http = http
        self._sentences = sentences
        self.id = ""

    async def make(self) -> None:
        """Creates it, and waits for its chapters."""
        rest = "The sea was calm that night. " * self._sentences
        text = "\n\n".join(
            f"Chapter {number}\n\nThe keeper of the lamp saw ship {number}. {rest}" for number in range(1, CHAPTERS + 1)
        )
        made = await self._answered("POST", "/api/projects", json={"title": "Lamp", "text": text, "language": "en"})
        self.id = made.json()["id"]
        await until(self.chapters, _PATIENCE_SECONDS)

    async def narrate(self) -> None:
        """Asks for each chapter."""
        for chapter in await self.chapters():
            path = f"/api/projects/{self.id}/chapters/{chapter['id']}/audio"
            await self._answered("POST", path, headers={"Idempotency-Key": path})

    async def done(self, count: int = CHAPTERS) -> None:
        """Waits until so many chapters have their audio."""

        async def narrated() -> bool:
            return sum(bool(chapter["audioUrl"]) for chapter in await self.chapters()) >= count

        await until(narrated, _PATIENCE_SECONDS)

    async def chapters(self) -> list[dict[str, Any]]:
        return list((await self._answered("GET", f"/api/projects/{self.id}")).json()["chapters"])

    async def _answered(self, method: str, path: str, **options: Any) -> httpx.Response:
        for _ in range(sys.maxsize):
            with suppress(httpx.HTTPError):
                answer = await self._http.request(method, path, **options)
                if answer.is_success:
                    return answer
                assert answer.status_code in {409, 502, 503, 504}, answer.text
            await asyncio.sleep(0.2)
        raise AssertionError("unreachable")


def check_log(log: Sequence[Told]) -> None:
    """Each chapter was completed once, and nothing ended in another way."""
    ends = [told for told in log if told.type in ENDS]
    assert Counter(told.type for told in ends) == {"audio:complete": CHAPTERS}
    assert max(Counter(json.loads(told.data)["jobId"] for told in ends).values()) == 1


async def check_readers(readers: Sequence[Reading], log: Sequence[Told]) -> None:
    """Each heard in order, nothing twice, all but what a later report of the same stage says better."""
    await until(lambda: all(reader.cursor == log[-1].id for reader in readers), _PATIENCE_SECONDS)
    places = {told.id: place for place, told in enumerate(log)}
    for reader in readers:
        heard = [places[told.id] for told in reader.events]
        assert all(before < after for before, after in pairwise(heard))
        assert reader.controls["reset"] == 0
        missed = [log[place] for place in set(range(len(log))) - set(heard)]
        assert not [told for told in missed if not told.type.endswith(":progress")]


async def check_told_all(readers: Sequence[Reading], log: Sequence[Told]) -> None:
    """The same where Redis may have lost the end of its log: who heard of what was lost was told `reset`, and knows by
    the snapshot, or by what it heard, how each job ended; nothing came twice, or out of order."""
    await until(lambda: all(reader.cursor == log[-1].id for reader in readers), _PATIENCE_SECONDS)
    ended = {json.loads(told.data)["jobId"] for told in log if told.type == "audio:complete"}
    for reader in readers:
        if not reader.controls["reset"]:
            await check_readers([reader], log)
        heard = [Cursor(*map(int, told.id.split("-"))) for told in reader.events]
        assert all(before < after for before, after in pairwise(heard))
        known = {json.loads(told.data)["jobId"] for told in reader.events if told.type == "audio:complete"}
        known |= {job["id"] for one in reader.snapshots for job in one["jobs"] if job["state"] == "completed"}
        assert ended <= known
