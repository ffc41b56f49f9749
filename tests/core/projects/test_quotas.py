"""What a user may have is bounded, also against many at once, and what is given back can be had again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.errors import TooMany, Unavailable
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.projects import quotas
from app.core.projects.quotas import Quotas
from app.core.projects.service import ParsedChapter, Projects, UploadedManuscript
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from tests.conftest import serve, signed_in
from tests.support import HandWorker, NoDispatcher, until

USER = "alice"


@pytest.fixture
def narrow(settings: Settings) -> Settings:
    """Settings with room for little."""
    few = {"max_projects": 20, "max_chapters_per_user": 30, "max_storage_bytes_per_user": 1024 * 1024}
    return settings.model_copy(update=few)


@pytest.fixture
def used(redis: Redis, narrow: Settings) -> Quotas:
    return Quotas(redis, narrow)


async def refused(used: Quotas, **more: int) -> str:
    """The code of the refusal; empty where there was room."""
    try:
        async with used.room(USER, **more):
            return ""
    except TooMany as error:
        return error.code


async def test_of_thirty_projects_at_once_over_two_processes_twenty_are_made(narrow: Settings) -> None:
    async with (
        serve(narrow) as one,
        serve(narrow) as other,
        signed_in(one, narrow, USER) as alice,
        signed_in(other, narrow, USER) as same,
    ):
        sides = [alice, same] * 15
        answers = await asyncio.gather(*(side.http.post("/api/projects", json={"text": "Hi."}) for side in sides))
        assert sorted(answer.status_code for answer in answers) == [201] * 20 + [429] * 10
        assert {answer.json()["code"] for answer in answers if answer.is_error} == {"too_many_projects"}
        listed = (await alice.http.get("/api/projects")).json()["projects"]
        assert len(listed) == 20
        assert (await alice.http.delete(f"/api/projects/{listed[0]['id']}")).is_success
        assert (await alice.create())["id"]


async def test_bytes_and_chapters_are_reserved_and_given_back(used: Quotas) -> None:
    async with used.room(USER, bytes=800_000, chapters=20):
        assert await refused(used, bytes=300_000) == "storage_full"
        assert await refused(used, chapters=11) == "too_many_chapters_in_all"
        assert await refused(used, bytes=200_000, chapters=10) == ""
    assert await refused(used, bytes=1_000_000) == ""
    with pytest.raises(RuntimeError):
        async with used.room(USER, bytes=1_000_000):
            raise RuntimeError
    assert await refused(used, bytes=1_000_000) == ""


async def test_what_a_dead_process_had_reserved_lapses(
    used: Quotas, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "_LEASE", 0.5)
    held = used.room(USER, bytes=1_000_000)
    await held.__aenter__()
    await asyncio.sleep(0.8)
    assert await refused(used, bytes=1_000_000) == "storage_full"  # renewed by who lives
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        if "_renew" in repr(task.get_coro()):
            task.cancel()
    await until(lambda: _has_room(used), 5)
    # And what a clock that was set back would keep.
    await redis.zadd(keys.reserved(USER), {"x": 10**15})
    await redis.hset(keys.usage(USER), "r:x", "0 0 1000000")
    assert await refused(used, bytes=1_000_000) == ""


async def _has_room(used: Quotas) -> bool:
    return await refused(used, bytes=1_000_000) == ""


async def test_usage_follows_what_is_written_and_deleted(
    redis: Redis, storage: Storage, projects: Projects, worker: HandWorker, narrow: Settings
) -> None:
    async def exact() -> int:
        """What is counted, which is what lies there."""
        found = await projects.usage.of(USER)
        lies = sum([file.size async for file in storage.files(f"u-{USER}")])
        assert found.bytes == lies
        return lies

    project, job = await projects.create(USER, UploadedManuscript(b"x" * 1000, "txt", "A book", "en"))
    assert await exact() == 1000
    await worker.parse(USER, job.json_dict(), chapters=3)
    await exact()
    [first, *_] = await projects.chapters(USER, project.id)
    for text in ("One.\n\nTwo.", "Longer.\n\nMuch longer.", "One.\n\nTwo."):
        await projects.change_chapter(USER, project.id, first.id, {}, text=text)
        await exact()
    await projects.split_chapter(USER, project.id, first.id, 6)
    assert (await projects.usage.of(USER)).chapters == 4
    second = (await projects.chapters(USER, project.id))[1]
    await projects.merge_chapter(USER, project.id, second.id)
    await exact()
    assert (await projects.usage.of(USER))[:2] == (1, 3)
    await projects.delete(USER, project.id)
    assert (await projects.usage.of(USER))[:3] == (0, 0, 0)


async def test_full_storage_refuses_texts_and_parsers_and_lets_things_be_deleted(
    narrow: Settings, redis: Redis
) -> None:
    async with serve(narrow) as address, signed_in(address, narrow, USER) as alice:
        jobs = Jobs(redis, EventLog(redis, narrow), narrow, NoDispatcher())
        worker = HandWorker(jobs, Projects(redis, Storage.of(narrow), jobs, narrow))
        created = await alice.create("Hello. " * 120_000)
        await worker.parse(USER, created["job"], chapters=2)
        chapter = (await alice.project(created["id"]))["chapters"][0]
        url = f"/api/projects/{created['id']}/chapters/{chapter['id']}"
        assert _code(await alice.http.patch(url, json={"text": "漢" * 99_000})) == "storage_full"
        assert _code(await alice.http.post("/api/projects", json={"text": "y" * 400_000})) == "storage_full"
        other = await alice.create("Little.")
        claim = await jobs.claim(USER, other["job"]["id"], "read")
        with pytest.raises(TooMany, match="storage is full"):
            await worker.projects.add_chapters(claim, [ParsedChapter("One", "z" * 90_000)] * 4)
        with pytest.raises(TooMany, match="too many chapters"):
            await worker.projects.add_chapters(claim, [ParsedChapter("One", "z")] * 40)
        assert (await alice.http.delete(f"/api/projects/{created['id']}")).is_success
        assert (await alice.http.post("/api/projects", json={"text": "y" * 400_000})).is_success


def _code(answer: httpx.Response) -> str:
    return str(answer.json()["code"])


async def test_create_that_fails_leaves_nothing_and_counts_nothing(
    projects: Projects, storage: Storage, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise Unavailable("full")

    monkeypatch.setattr(Storage, "put", full)
    with pytest.raises(Unavailable):
        await projects.create(USER, UploadedManuscript(b"x" * 1000, "txt", "A book", "en"))
    assert (await projects.usage.of(USER))[:3] == (0, 0, 0)
    assert await redis.zcard(keys.reserved(USER)) == 0
    assert await projects.ids(USER) == []


async def test_segments_beyond_their_room_are_not_kept(redis: Redis, projects: Projects, settings: Settings) -> None:
    project, _ = await projects.create(USER, UploadedManuscript(b"x", "txt", "A book", "en"))
    used = Quotas(redis, settings.model_copy(update={"max_segment_bytes_per_user": 100}))
    assert [await used.add_segment(USER, project.id, 60) for _ in range(3)] == [True, False, False]
    assert (await used.of(USER)).segment_bytes == 60
    await projects.delete(USER, project.id)
    assert (await used.of(USER)).segment_bytes == 0
