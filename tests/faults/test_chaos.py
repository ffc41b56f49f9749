"""Chaos: whatever is killed, every second and at random, every chapter is narrated once and every reader hears of it.

`SMARTVOICE_CHAOS_SECONDS` sets for how long things are killed (`make chaos`: a minute, with 200 chapters).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from app.core.redis import connect
from app.core.settings import Settings
from tests.faults.readers import ENDS, Crowd, SseReader, Told, logged
from tests.stack import Stack, alive, command_of, running
from tests.support import until

SECONDS = int(os.environ.get("SMARTVOICE_CHAOS_SECONDS", "8"))
CHAPTERS_EACH = 10
USERS = [f"reader-{number}" for number in range(max(2, SECONDS // 3))]
# A kill each second finds the same job three times now and then; that a job fails for that has a test of its own.
_SETTINGS = {"SMARTVOICE_MAX_LOSSES": "20"}
_ROLES = ("redis-server", "app.cli web", "app.cli worker", "workers/voice/child.py")


@pytest.mark.timeout(SECONDS * 4 + 180)
async def test_killed_each_second_everything_is_narrated_once_and_heard_of(capsys: pytest.CaptureFixture[str]) -> None:
    with running(**_SETTINGS) as stack:
        tokens = {user: stack.token(user) for user in USERS}
        port = urlsplit(stack.address).port or 0
        crowd = Crowd(SseReader([port], user, tokens[user]) for user in USERS for _ in range(2))
        async with crowd.reading(), _logs(stack) as redis:
            books = {user: await _book(stack, user, tokens[user]) for user in USERS}
            begun = asyncio.gather(*(_narrate(stack, tokens[user], *books[user]) for user in USERS))
            killed = await _kill(stack, SECONDS)
            await begun
            await until(lambda: _all_ended(redis), timeout=90)
            logs = {user: await logged(redis, user) for user in USERS}
            await until(lambda: all(_at_end(reader, logs[reader.user]) for reader in crowd.readers), timeout=60)
    ends = Counter(told.type for log in logs.values() for told in log if told.type in ENDS)
    with capsys.disabled():
        comings = crowd.total(lambda reader: reader.connections)
        print(f"\n  killed {dict(killed)}; ended {dict(ends)}; {len(crowd.readers)} readers came {comings} times")
    assert ends == {"audio:complete": len(USERS) * CHAPTERS_EACH}
    assert all(count == 1 for log in logs.values() for count in _ends_by_job(log).values())
    for reader in crowd.readers:
        _check(reader, logs[reader.user])


@asynccontextmanager
async def _logs(stack: Stack) -> AsyncIterator[Redis]:
    async with connect(Settings(data_dir=stack.folder).redis, patient=True) as redis:
        yield redis


async def _book(stack: Stack, user: str, token: str) -> tuple[str, list[str]]:
    """A parsed project of short chapters, made before anything is killed."""
    text = "\n\n".join(
        f"Chapter {number}\n\n{user} wrote of the lamp, and of ship {number}.\n\nThen the light went out."
        for number in range(1, CHAPTERS_EACH + 1)
    )
    async with _client(stack, token) as http:
        made = (await http.post("/api/projects", json={"title": user, "text": text, "language": "en"})).json()

        async def chapters() -> list[str]:
            return [one["id"] for one in (await http.get(f"/api/projects/{made['id']}")).json()["chapters"]]

        return made["id"], await until(chapters)


async def _narrate(stack: Stack, token: str, project: str, chapters: list[str]) -> None:
    """Asks for each chapter at a moment of its own, until the answer is heard."""
    async with _client(stack, token) as http:
        await asyncio.gather(*(_press(http, f"/api/projects/{project}/chapters/{one}/audio") for one in chapters))


async def _press(http: httpx.AsyncClient, path: str) -> None:
    await asyncio.sleep(random.uniform(0, SECONDS))
    for attempt in range(sys.maxsize):
        with suppress(httpx.HTTPError):
            # One key for all tries: an answer that was lost is given again.
            answer = await http.post(path, headers={"Idempotency-Key": path})
            if answer.status_code == httpx.codes.ACCEPTED:
                return
            assert answer.status_code in {409, 503}, answer.text
        await asyncio.sleep(min(0.1 * 2**attempt, 1))


async def _kill(stack: Stack, seconds: int) -> Counter[str]:
    """Kills one process a second, of a kind chosen at random."""
    killed: Counter[str] = Counter()
    for _ in range(seconds):
        await asyncio.sleep(1)
        role = random.choice(_ROLES)
        victims = [pid for pid in stack.children() if role in command_of(pid) and alive(pid)]
        if victims:
            with suppress(ProcessLookupError):
                os.kill(random.choice(victims), signal.SIGKILL)
            killed[role.rpartition(" ")[2].rpartition("/")[2]] += 1
    return killed


async def _all_ended(redis: Redis) -> bool:
    ended = [sum(told.type in ENDS for told in await logged(redis, user)) for user in USERS]
    return all(count >= CHAPTERS_EACH for count in ended)


def _at_end(reader: SseReader, log: list[Told]) -> bool:
    return reader.cursor == log[-1].id


def _ends_by_job(log: list[Told]) -> Counter[str]:
    return Counter(json.loads(told.data)["jobId"] for told in log if told.type in ENDS)


def _check(reader: SseReader, log: list[Told]) -> None:
    """It heard in order, nothing twice, and all but what a later report of the same stage says better."""
    places = {told.id: place for place, told in enumerate(log)}
    heard = [places[told.id] for told in reader.events]
    assert all(before < after for before, after in pairwise(heard))
    assert reader.controls["reset"] == 0
    missed = [log[place] for place in set(range(len(log))) - set(heard)]
    assert not [told for told in missed if told.type != "audio:progress"]


def _client(stack: Stack, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=10)
