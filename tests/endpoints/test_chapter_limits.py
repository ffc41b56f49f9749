"""How long chapters and projects may be, by every way in and for everybody who edits at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.redis import keys
from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.support import Client, HandWorker

CHAPTER, PROJECT = 1000, 2500


@pytest.fixture
async def alice(settings: Settings) -> AsyncIterator[Client]:
    few = settings.model_copy(update={"max_chapter_characters": CHAPTER, "max_characters": PROJECT})
    async with serve(few) as address, signed_in(address, few, "alice") as client:
        yield client


@pytest.fixture
async def project(alice: Client, worker: HandWorker) -> str:
    """A project of five chapters with seven characters each."""
    created = await alice.create("Some text.", title="A book", language="en")
    await worker.parse("alice", created["job"], chapters=5)
    return str(created["id"])


async def chapters(alice: Client, project: str) -> list[dict[str, Any]]:
    return list((await alice.project(project))["chapters"])


async def edit(alice: Client, chapter: dict[str, Any], characters: int) -> httpx.Response:
    path = f"/api/projects/{chapter['projectId']}/chapters/{chapter['id']}"
    return await alice.http.patch(path, json={"text": "a" * characters})


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def total(alice: Client, project: str) -> int:
    """The project's characters, which are those of its chapters together."""
    found = await alice.project(project)
    assert found["characters"] == sum(chapter["characters"] for chapter in found["chapters"])
    return int(found["characters"])


async def test_chapter_cannot_be_edited_to_more_than_the_parser_makes(alice: Client, project: str) -> None:
    [first, *_] = await chapters(alice, project)
    assert code(await edit(alice, first, CHAPTER + 1)) == (422, "chapter_too_long")
    assert (await edit(alice, first, CHAPTER)).is_success


async def test_two_chapters_are_not_merged_to_one_that_is_too_long(alice: Client, project: str) -> None:
    [first, second, *_] = await chapters(alice, project)
    for chapter in (first, second):
        assert (await edit(alice, chapter, CHAPTER // 2)).is_success
    path = f"/api/projects/{project}/chapters/{second['id']}/merge"
    assert code(await alice.http.post(path)) == (422, "chapter_too_long")
    assert (await edit(alice, second, 10)).is_success
    assert (await alice.http.post(path)).is_success


async def test_of_many_edits_at_once_only_those_get_through_that_fit_together(alice: Client, project: str) -> None:
    answers = await asyncio.gather(*(edit(alice, one, CHAPTER) for one in await chapters(alice, project)))
    assert sorted(code(answer) for answer in answers) == [(200, "")] * 2 + [(422, "too_many_characters")] * 3
    assert await total(alice, project) <= PROJECT


async def test_many_edits_of_one_chapter_at_once_are_counted_once(alice: Client, project: str) -> None:
    [first, *_] = await chapters(alice, project)
    answers = await asyncio.gather(*(edit(alice, first, 100 + number) for number in range(12)))
    assert all(answer.is_success for answer in answers)
    assert 100 <= await total(alice, project) - 4 * 7 < 112


async def test_merging_makes_no_project_too_long(alice: Client, project: str) -> None:
    [first, second, third, *_] = await chapters(alice, project)
    for chapter, characters in ((first, 900), (second, 900), (third, PROJECT - 1800 - 2 * 7)):
        assert (await edit(alice, chapter, characters)).is_success
    last = (await chapters(alice, project))[-1]
    # The title of the one that goes becomes a line of the text.
    path = f"/api/projects/{project}/chapters/{last['id']}/merge"
    assert code(await alice.http.post(path)) == (422, "too_many_characters")
    assert await total(alice, project) == PROJECT


async def test_what_was_too_long_before_there_was_a_bound_can_be_made_shorter(
    alice: Client, project: str, redis: Redis
) -> None:
    [first, *_] = await chapters(alice, project)
    await redis.hset(keys.chapter("alice", first["id"]), "characters", str(2 * PROJECT))
    await redis.hset(keys.project("alice", project), "characters", str(2 * PROJECT + 28))
    assert (await edit(alice, first, CHAPTER + 5)).is_success
    assert code(await edit(alice, first, CHAPTER + 6)) == (422, "chapter_too_long")
    assert await total(alice, project) == CHAPTER + 5 + 28


async def test_no_text_is_edited_while_the_manuscript_is_parsed(
    alice: Client, worker: HandWorker, redis: Redis
) -> None:
    created = await alice.create("Some text.", title="A book", language="en")
    claim = await worker.jobs.claim("alice", created["job"]["id"], "read")
    await redis.hset(keys.chapter("alice", "c1"), mapping={"id": "c1", "projectId": created["id"], "characters": "7"})
    await redis.zadd(keys.chapters("alice", created["id"]), {"c1": 1})
    assert code(await edit(alice, {"projectId": created["id"], "id": "c1"}, 9)) == (409, "chapter_busy")
    assert claim.attempt == 1
