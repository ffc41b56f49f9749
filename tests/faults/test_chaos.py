"""Chaos: whatever is killed, every second and at random, every chapter is narrated once and every reader hears of it.

Every process of the tree is killed, groups of them are told to end as systemd does it, and the clock of Redis jumps.

`SMARTVOICE_CHAOS_SECONDS` sets for how long things are killed (`make chaos`: a minute, with 200 chapters).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from redis.asyncio import Redis

from app.cli import embedded_redis
from app.core.redis.client import connect
from app.core.settings import Settings
from tests import fake_clock
from tests.faults.readers import ENDS, Crowd, SseReader, Told, logged
from tests.stack import Stack, alive, command_of, running
from tests.support import until

SECONDS = int(os.environ.get("SMARTVOICE_CHAOS_SECONDS", "8"))
CHAPTERS_EACH = 10
USERS = [f"reader-{number}" for number in range(max(2, SECONDS // 3))]
# A kill each second finds the same job three times now and then; that a job fails for that has a test of its own.
_SETTINGS = {"SMARTVOICE_MAX_LOSSES": "20"}
_ROLES = {
    "redis": ("/redis.sock",),  # a Redis says in its title where it listens, whatever it is called
    "web": ("app.cli web",),
    "worker": ("app.cli worker",),
    "voice": ("voice/voice_program.py",),
    "converter": ("splitter",),
}
_GROUPS = ("web", "worker")
_JUMPS = (-3600, 3600, -30, 30, 0)
_RTF = rb"{\rtf1\ansi Chapter 1\par\par The lamp was lit.\par\par Chapter 2\par\par It went out.\par}"


@pytest.mark.timeout(SECONDS * 4 + 180)
async def test_killed_each_second_everything_is_narrated_once_and_heard_of(capsys: pytest.CaptureFixture[str]) -> None:
    with _clock() as (clock, wrapped), running(**_SETTINGS, **wrapped) as stack:
        tokens = {user: stack.token(user) for user in USERS}
        port = urlsplit(stack.address).port or 0
        crowd = Crowd(SseReader([port], user, tokens[user]) for user in USERS for _ in range(2))
        async with crowd.reading(), _logs(stack) as redis:
            books = {user: await _book(stack, user, tokens[user]) for user in USERS}
            begun = asyncio.gather(*(_narrate(stack, tokens[user], *books[user]) for user in USERS))
            sent = asyncio.gather(*(_send_manuscripts(stack, tokens[user]) for user in USERS))
            killed = await _kill(stack, clock, SECONDS)
            await begun
            await sent
            await until(lambda: _all_ended(redis), timeout=120)
            await until(lambda: _all_parsed(redis), timeout=60)
            logs = {user: await logged(redis, user) for user in USERS}
            await until(lambda: all(_at_end(reader, logs[reader.user]) for reader in crowd.readers), timeout=60)
    ends = Counter(told.type for log in logs.values() for told in log if told.type in ENDS)
    with capsys.disabled():
        comings = crowd.total(lambda reader: reader.connections)
        print(f"\n  killed {dict(killed)}; ended {dict(ends)}; {len(crowd.readers)} readers came {comings} times")
    assert ends == {"audio:complete": len(USERS) * CHAPTERS_EACH}
    assert all(count == 1 for log in logs.values() for count in _ends_by_job(log).values())
    assert not [told for log in logs.values() for told in log if told.type.endswith(":failed")]
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


async def _send_manuscripts(stack: Stack, token: str) -> None:
    """Sends manuscripts, which the splitter reads, all the time."""
    async with _client(stack, token) as http:
        for _ in range(max(2, SECONDS // 10)):
            await asyncio.sleep(random.uniform(0, SECONDS / max(2, SECONDS // 10)))
            with suppress(httpx.HTTPError):
                # One that is not heard may have been made all the same: whatever was made is to be parsed.
                await http.post("/api/projects", files={"file": ("book.rtf", _RTF)})


@contextmanager
def _clock() -> Iterator[tuple[Path | None, dict[str, str]]]:
    """A file that sets the clock of the Redis that `up` starts, and what makes it do so; nothing where it cannot."""
    bundled = embedded_redis.bundled_binary()
    if bundled is None:
        yield None, {}
        return
    with tempfile.TemporaryDirectory(prefix="sv-clock-") as name:
        file, command = Path(name, "time"), Path(name, "server")
        fake_clock.put(file, 0)
        variables = " ".join(f"{name}={value}" for name, value in fake_clock.faked(file).items())
        command.write_text(f'#!/bin/sh\nexec env {variables} {bundled} "$@"\n')
        command.chmod(0o700)
        yield file, {"SMARTVOICE_REDIS_BINARY": str(command)}


async def _kill(stack: Stack, clock: Path | None, seconds: int) -> Counter[str]:
    """Each second: kills a process of a kind chosen at random, tells a group of them to end, or sets Redis' clock."""
    done: Counter[str] = Counter()
    kinds = [*_ROLES, "clock", "group"]
    for second in range(seconds):
        await asyncio.sleep(1)
        # At random, and each as often as the others.
        if second % len(kinds) == 0:
            random.shuffle(kinds)
        role = kinds[second % len(kinds)]
        if role == "clock" and clock:
            fake_clock.put(clock, random.choice(_JUMPS))
        elif victims := _victims(stack, random.choice(_GROUPS) if role == "group" else role):
            _end(random.choice(victims), group=role == "group")
        else:
            continue
        done[role] += 1
    return done


def _victims(stack: Stack, role: str) -> list[int]:
    words = _ROLES.get(role, ())
    return [pid for pid in stack.children() if any(word in command_of(pid) for word in words) and alive(pid)]


def _end(pid: int, *, group: bool) -> None:
    with suppress(ProcessLookupError):
        if group:
            # Of a child of `up`: it has a session of its own, and so has whatever is sandboxed in it.
            os.killpg(os.getpgid(pid), signal.SIGTERM)
        else:
            os.kill(pid, signal.SIGKILL)


async def _all_parsed(redis: Redis) -> bool:
    told = [told for user in USERS for told in await logged(redis, user) if told.type.startswith("parse:")]
    begun = {json.loads(one.data)["jobId"] for one in told}
    return begun == {json.loads(one.data)["jobId"] for one in told if one.type != "parse:progress"}


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
