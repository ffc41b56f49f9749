"""Requests of one user at once: only so many are answered, some wait, and nobody else does."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
from redis.asyncio import Redis

from app.core.errors import Unavailable
from app.core.jobs.service import Jobs
from app.core.keyed_semaphore import KeyedSemaphore
from app.core.projects.service import Projects
from app.core.settings import Settings
from app.http.json_stream import in_parts
from tests.conftest import serve, signed_in
from tests.support import HandWorker


async def test_one_users_requests_at_once_are_bounded_and_anothers_are_answered(settings: Settings) -> None:
    own = settings.model_copy(update={"max_requests_at_once": 1, "max_requests_waiting": 2})
    async with serve(own) as address, signed_in(address, own, "alice") as alice, signed_in(address, own, "bob") as bob:
        asked = asyncio.gather(*(alice.http.get("/api/projects") for _ in range(60)))
        others = await asyncio.gather(*(bob.http.get("/api/projects") for _ in range(3)))
        answers = await asked
    assert {answer.status_code for answer in others} == {200}
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.json()["code"] for answer in refused} == {"too_many_at_once"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}


async def test_who_sends_slowly_or_waits_for_events_holds_no_slot(settings: Settings) -> None:
    own = settings.model_copy(update={"max_requests_at_once": 1, "max_requests_waiting": 1})
    sending = asyncio.Event()
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"text": "Hel'
        sending.set()
        await go_on.wait()
        yield b'lo."}'

    async with serve(own) as address, signed_in(address, own, "alice") as alice, alice.stream() as stream:
        await stream.next("ready")
        headers = {"Content-Type": "application/json"}
        slow = asyncio.create_task(alice.http.post("/api/projects", content=body(), headers=headers))
        await sending.wait()
        for _ in range(3):
            assert (await alice.http.get("/api/projects")).status_code == 200
        go_on.set()
        assert (await slow).status_code == 201


async def test_whole_project_is_narrated_and_shown_in_parts(
    settings: Settings, redis: Redis, jobs: Jobs, projects: Projects
) -> None:
    async with serve(settings) as address, signed_in(address, settings, "alice") as alice:
        created = (await alice.http.post("/api/projects", json={"text": "Hello."})).json()
        await HandWorker(jobs, projects).parse("alice", created["job"], 120)
        path = f"/api/projects/{created['id']}"
        started = await alice.http.post(f"{path}/audio")
        chapters = (await alice.http.get(path)).json()["chapters"]
    assert started.status_code == 202
    assert [job["chapterId"] for job in started.json()["jobs"]] == [chapter["id"] for chapter in chapters]
    assert len(chapters) == 120


@pytest.mark.parametrize("whole", [True, False])
async def test_answer_whose_rest_cannot_be_made_is_cut_off_without_a_traceback(
    whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 40_000
        if not whole:
            raise Unavailable("Redis cannot be reached.")
        yield b"y"

    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return await asyncio.Event().wait() and {}

    response = await in_parts(parts(), {}, KeyedSemaphore(1, waiting=0).of("alice"))
    await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert [message for message in sent if message.get("more_body") is False] == (
        [{"type": "http.response.body", "body": b"", "more_body": False}] if whole else []
    )
