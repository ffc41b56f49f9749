"""A chapter is split in two, or merged with the one before it: all at once, and every reader hears of it."""

from __future__ import annotations

import asyncio
from functools import reduce
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.jobs.service import Jobs
from app.core.projects.service import audio_record
from app.core.projects.text_lengths import MAX_TITLE
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path
from tests import reducer
from tests.streaming.test_snapshot_and_events import moment
from tests.support import Client, HandWorker

TEXT = "They set out early.\n\nThe Bridge\n\nThe bridge was closed.\n\nSo they swam."


class Book:
    """A parsed project of alice's with three chapters, of which the second has `TEXT`."""

    def __init__(self, alice: Client, worker: HandWorker, id: str) -> None:
        self.alice = alice
        self.worker = worker
        self.id = id

    async def chapters(self) -> list[dict[str, Any]]:
        return list((await self.alice.project(self.id))["chapters"])

    async def texts(self) -> list[tuple[str, str]]:
        """Title and text of each chapter; their places are counted without a hole."""
        chapters = await self.chapters()
        assert [chapter["position"] for chapter in chapters] == list(range(1, len(chapters) + 1))
        texts = [(await self.alice.http.get(self.url(chapter))).json()["text"] for chapter in chapters]
        return [(chapter["title"], text) for chapter, text in zip(chapters, texts, strict=True)]

    def url(self, chapter: dict[str, Any], what: str = "") -> str:
        return f"/api/projects/{self.id}/chapters/{chapter['id']}{what}"

    async def split(self, chapter: dict[str, Any], offset: int, key: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.alice.http.post(self.url(chapter, "/split"), json={"offset": offset}, headers=headers)

    async def merge(self, chapter: dict[str, Any], key: str = "") -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.alice.http.post(self.url(chapter, "/merge"), headers=headers)


@pytest.fixture
async def book(alice: Client, worker: HandWorker) -> Book:
    created = await alice.create("Some text.", title="A book", language="en")
    await worker.parse("alice", created["job"], chapters=3)
    book = Book(alice, worker, created["id"])
    second = (await book.chapters())[1]
    assert (await alice.http.patch(book.url(second), json={"text": TEXT})).is_success
    return book


async def test_chapter_is_split_where_a_line_begins_which_becomes_the_title(book: Book) -> None:
    second = (await book.chapters())[1]
    answer = await book.split(second, TEXT.index("Bridge"))
    assert answer.status_code == httpx.codes.CREATED, answer.text
    first_half, new = answer.json()["chapters"]
    assert answer.headers["location"] == book.url(new)
    assert first_half["id"] == second["id"]
    assert await book.texts() == [
        ("Chapter 1", "Text 1."),
        ("Chapter 2", "They set out early."),
        ("The Bridge", "The bridge was closed.\n\nSo they swam."),
        ("Chapter 3", "Text 3."),
    ]
    project = await book.alice.project(book.id)
    assert project["chapterCount"] == 4
    assert project["characters"] == sum(chapter["characters"] for chapter in project["chapters"])


async def test_half_that_begins_with_a_sentence_is_called_as_the_whole_was(book: Book) -> None:
    await book.split((await book.chapters())[1], TEXT.index("So they"))
    titles = [title for title, _ in await book.texts()]
    assert titles == ["Chapter 1", "Chapter 2", "Chapter 2 (2)", "Chapter 3"]


async def test_halves_of_a_chapter_with_the_longest_title_have_titles_that_may_be_sent_back(book: Book) -> None:
    second = (await book.chapters())[1]
    assert (await book.alice.http.patch(book.url(second), json={"title": "x" * MAX_TITLE})).is_success
    halves = (await book.split(second, TEXT.index("So they"))).json()["chapters"]
    assert [len(half["title"]) for half in halves] == [MAX_TITLE, MAX_TITLE]
    assert (await book.alice.http.patch(book.url(halves[1]), json={"title": halves[1]["title"]})).is_success


async def test_merging_the_halves_gives_the_text_back(book: Book) -> None:
    before = await book.texts()
    for place in ("The Bridge", "So they"):
        _, new = (await book.split((await book.chapters())[1], TEXT.index(place))).json()["chapters"]
        merged = await book.merge(new)
        assert merged.status_code == httpx.codes.OK, merged.text
        assert await book.texts() == before
    project = await book.alice.project(book.id)
    assert (project["chapterCount"], project["characters"]) == (3, len(TEXT) + 14)


@pytest.mark.parametrize("offset", [3, len(TEXT) + 100])
async def test_place_with_nothing_on_one_side_is_refused(book: Book, offset: int) -> None:
    answer = await book.split((await book.chapters())[1], offset)
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_split")


async def test_first_chapter_has_none_to_be_merged_with(book: Book) -> None:
    answer = await book.merge((await book.chapters())[0])
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_merge")


async def test_audio_of_what_stays_is_outdated_and_of_what_goes_deleted(
    book: Book, jobs: Jobs, storage: Storage
) -> None:
    _, second, third = await book.chapters()
    for chapter in (second, third):
        job = await book.alice.narrate(book.id, chapter["id"])
        claim = await book.worker.start("alice", job)
        name = f"{book.id}-{chapter['id']}-{'a' * 20}"
        await storage.put(audio_path("alice", name), b"sound")
        await jobs.complete(claim, {}, audio_record("alice", chapter["id"], name, 1.0, "x"))
    assert (await book.merge(third)).is_success
    kept = (await book.chapters())[1]
    assert kept["outdated"]
    assert await storage.has(audio_path("alice", f"{book.id}-{second['id']}-{'a' * 20}"))
    assert not await storage.has(audio_path("alice", f"{book.id}-{third['id']}-{'a' * 20}"))
    assert (await book.alice.http.get(book.url(third))).status_code == httpx.codes.NOT_FOUND


@pytest.mark.parametrize("taken", [False, True])
async def test_while_a_job_is_open_for_one_of_them_neither_is_done(book: Book, taken: bool) -> None:
    _, second, third = await book.chapters()
    job = await book.alice.narrate(book.id, second["id"])
    if taken:
        await book.worker.start("alice", job)
    before = await book.texts()
    for answer in (await book.split(second, 30), await book.merge(second), await book.merge(third)):
        assert (answer.status_code, answer.json()["code"]) == (409, "chapter_busy")
    assert await book.texts() == before
    await book.alice.http.delete(f"/api/jobs/audio-generation/{job['id']}")
    assert (await book.merge(third)).is_success


async def test_same_key_splits_once(book: Book, redis: Redis) -> None:
    second = (await book.chapters())[1]
    first = await book.split(second, 30, key="k")
    # Also where the answer was not kept, because whoever did it died.
    await redis.delete(keys.answers("alice"))
    again = await book.split(second, 30, key="k")
    assert again.json() == first.json()
    assert len(await book.chapters()) == 4


async def test_many_at_once_split_and_merge_as_one_after_the_other_would(book: Book) -> None:
    second = (await book.chapters())[1]
    answers = await asyncio.gather(*(book.split(second, 30) for _ in range(8)))
    codes = sorted((answer.status_code, answer.json().get("code")) for answer in answers)
    assert [status for status, _ in codes].count(201) == 1
    assert {code for status, code in codes if status != 201} <= {"chapter_changed", "nothing_to_split"}
    new = (await book.chapters())[2]
    answers = await asyncio.gather(*(book.merge(new) for _ in range(8)))
    # Who was as late as to find it done by another, of the very same texts, is told so.
    assert {200} <= {answer.status_code for answer in answers} <= {200, 404, 409}
    assert (await book.texts())[1] == ("Chapter 2", TEXT)


async def test_project_has_no_more_chapters_than_it_may_have(book: Book, settings: Settings, redis: Redis) -> None:
    many = {f"x{number}": number for number in range(10, 10 + settings.max_chapters)}
    await redis.zadd(keys.chapters("alice", book.id), many)
    answer = await book.split((await book.chapters())[1], 30)
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_chapters")


async def test_nothing_is_made_of_a_project_that_is_deleted(book: Book, redis: Redis) -> None:
    second = (await book.chapters())[1]
    assert (await book.alice.http.delete(f"/api/projects/{book.id}")).is_success
    assert (await book.split(second, 30)).status_code == httpx.codes.NOT_FOUND
    assert (await book.merge(second)).status_code == httpx.codes.NOT_FOUND
    assert not await redis.exists(keys.chapters("alice", book.id))


async def test_every_reader_hears_of_it_and_comes_to_the_same_picture(book: Book, jobs: Jobs) -> None:
    _, second, third = await book.chapters()
    claim = await book.worker.start("alice", await book.alice.narrate(book.id, third["id"]))
    moments = [await moment(book.alice)]
    await book.worker.finish(claim)
    moments.append(await moment(book.alice))
    await book.split(second, 30)
    moments.append(await moment(book.alice))
    assert (await book.merge(third)).is_success
    fresh = await moment(book.alice)
    for old in moments:
        events = (await book.alice.poll(after=old.cursor))["events"]
        assert [event["data"]["gone"] for event in events if event["type"] == "project:changed"][-1] == [third["id"]]
        assert reducer.picture(reduce(reducer.apply, events, old.jobs)) == fresh.jobs
