"""The book over HTTP: asked for, named, downloaded by its owner, whole and in part."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.jobs.service import JobRequest, Jobs
from app.core.projects import books
from app.core.projects.service import Projects, audio_record
from app.core.storage import paths
from app.core.storage.object_store import Storage
from app.core.vocabulary import ASSEMBLY, NARRATION
from app.endpoints.books import disposition
from tests.support import Client, HandWorker


async def parsed(alice: Client, worker: HandWorker, chapters: int = 3, **more: Any) -> dict[str, Any]:
    project = await alice.create(**more)
    await worker.parse("alice", project["job"], chapters)
    return await alice.project(project["id"])


async def voice(jobs: Jobs, project: dict[str, Any], *numbers: int, edition: str = "0") -> None:
    """Lets chapters have audio."""
    for number in numbers:
        chapter = project["chapters"][number]["id"]
        job, _ = await jobs.create("alice", JobRequest(NARRATION, project["id"], "en", chapter))
        claim = await jobs.claim("alice", job.id, "start")
        name = f"{project['id']}-{chapter}-{edition * 20}"
        await jobs.complete(claim, {"audioUrl": "", "durationSeconds": 1}, audio_record("alice", chapter, name, 1, "d"))


async def ask(alice: Client, project: dict[str, Any], **body: Any) -> httpx.Response:
    headers = body.pop("headers", {})
    return await alice.http.post(f"/api/projects/{project['id']}/book", json=body, headers=headers)


async def finish(jobs: Jobs, projects: Projects, store: Storage, job: dict[str, Any]) -> str:
    """Does the worker's part with a file of 1000 bytes; the book's URL."""
    claim = await jobs.claim("alice", job["id"], "start")
    project = await projects.get("alice", job["projectId"])
    chapters = await projects.chapters("alice", project.id)
    name = books.name_of(project, chapters)
    await store.put(paths.book_path("alice", name, job["format"]), bytes(range(250)) * 4)
    result = books.result_of(name, job["format"], 1000, chapters)
    await jobs.complete(claim, result, books.record("alice", project.id, job["format"], result))
    return str(result["downloadUrl"])


async def test_chapters_that_lack_audio_are_named(alice: Client, worker: HandWorker, jobs: Jobs) -> None:
    project = await parsed(alice, worker)
    await voice(jobs, project, 1)
    refused = await ask(alice, project, format="m4b")
    assert (refused.status_code, refused.json()["code"]) == (409, "chapters_lack_audio")
    assert [one["position"] for one in refused.json()["chapters"]] == [1, 3]
    assert [one["title"] for one in refused.json()["chapters"]] == ["Chapter 1", "Chapter 3"]
    accepted = await ask(alice, project, format="m4b", allowMissing=True)
    assert accepted.status_code == 202
    job = accepted.json()
    assert accepted.headers["location"] == f"/api/jobs/book-assembly/{job['id']}"
    assert (job["format"], job["state"], job["progress"]["stage"]) == ("m4b", "waiting", "queued")


async def test_book_without_any_audio_is_refused_in_any_case(alice: Client, worker: HandWorker) -> None:
    project = await parsed(alice, worker)
    assert (await ask(alice, project, format="zip", allowMissing=True)).json()["code"] == "chapters_lack_audio"


async def test_open_job_is_answered_and_another_format_is_told_to_wait(
    alice: Client, worker: HandWorker, jobs: Jobs
) -> None:
    project = await parsed(alice, worker, 1)
    await voice(jobs, project, 0)
    first = (await ask(alice, project, format="m4b")).json()
    assert (await ask(alice, project, format="m4b")).json()["id"] == first["id"]
    other = await ask(alice, project, format="zip")
    assert (other.status_code, other.json()["code"]) == (409, "other_book_in_progress")
    assert (await alice.http.delete(f"/api/jobs/book-assembly/{first['id']}")).json()["state"] == "cancelled"
    assert (await ask(alice, project, format="zip")).status_code == 202
    assert (await alice.project(project["id"]))["bookJob"]["format"] == "zip"


async def test_same_key_gets_the_same_book(alice: Client, worker: HandWorker, jobs: Jobs) -> None:
    project = await parsed(alice, worker, 1)
    await voice(jobs, project, 0)
    headers = {"Idempotency-Key": "k"}
    first = (await ask(alice, project, format="m4b", headers=headers)).json()
    claim = await jobs.claim("alice", first["id"], "start")
    await jobs.fail(claim, "worker_io", "No.")
    assert (await ask(alice, project, format="m4b", headers=headers)).json()["id"] == first["id"]
    assert (await ask(alice, project, format="zip", headers=headers)).json()["code"] == "idempotency_mismatch"


async def test_book_is_downloaded_whole_and_in_part_by_its_owner_alone(
    alice: Client, mallory: Client, worker: HandWorker, jobs: Jobs, projects: Projects, storage: Storage
) -> None:
    project = await parsed(alice, worker, 2, title='守灯人 "The Lamp" / 1')
    await voice(jobs, project, 0)
    job = (await ask(alice, project, format="m4b", allowMissing=True)).json()
    url = await finish(jobs, projects, storage, job)
    whole = await alice.http.get(url)
    assert (whole.status_code, len(whole.content), whole.headers["content-type"]) == (200, 1000, "audio/mp4")
    assert whole.headers["content-disposition"].startswith(
        "attachment; filename=\"The Lamp 1.m4b\"; filename*=UTF-8''%E5"
    )
    part = await alice.http.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
    assert part.headers["content-range"] == "bytes 10-19/1000"
    assert (await alice.http.get(url, headers={"Range": "bytes=5000-"})).status_code == 416
    assert (await alice.http.get(url, headers={"If-None-Match": whole.headers["etag"]})).status_code == 304
    assert (await mallory.http.get(url)).status_code == 404
    assert (await alice.http.get(url.replace("m4b", "zip"))).status_code == 404
    assert (await alice.http.get("/books/x.m4b")).status_code == 404
    [book] = (await alice.project(project["id"]))["books"]
    assert (book["downloadUrl"], book["missing"], book["outdated"], book["chapters"]) == (url, [2], False, 1)


async def test_book_is_outdated_when_a_chapter_has_other_audio(
    alice: Client, worker: HandWorker, jobs: Jobs, projects: Projects, storage: Storage
) -> None:
    project = await parsed(alice, worker, 2)
    await voice(jobs, project, 0, 1)
    url = await finish(jobs, projects, storage, (await ask(alice, project, format="zip")).json())
    await voice(jobs, project, 1, edition="1")
    [book] = (await alice.project(project["id"]))["books"]
    assert (book["downloadUrl"], book["outdated"]) == (url, True)
    # It is there until the next one is.
    assert (await alice.http.get(url)).headers["content-type"] == "application/zip"
    again = await finish(jobs, projects, storage, (await ask(alice, project, format="zip")).json())
    [book] = (await alice.project(project["id"]))["books"]
    assert (book["downloadUrl"], book["outdated"]) == (again, False)


async def test_events_tell_of_the_book(
    alice: Client, worker: HandWorker, jobs: Jobs, projects: Projects, storage: Storage
) -> None:
    project = await parsed(alice, worker, 1)
    await voice(jobs, project, 0)
    cursor = (await alice.project(project["id"]))["cursor"]
    job = (await ask(alice, project, format="m4b")).json()
    url = await finish(jobs, projects, storage, job)
    events = (await alice.poll(after=cursor))["events"]
    assert [event["type"] for event in events] == ["book:progress"] * 3 + ["book:complete"]
    assert [event["data"]["progress"]["stage"] for event in events[:3]] == ["queued", "start", "done"]
    assert (events[-1]["data"]["downloadUrl"], events[-1]["data"]["format"]) == (url, "m4b")
    assert job["queue"] == ASSEMBLY


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("守灯人.m4b", "book.m4b"),
        ("The Lamp.m4b", "The Lamp.m4b"),
        ('a"b\\c/d\r\ne;f.zip', "a b c d e;f.zip"),
        ("\ud800.zip", "book.zip"),
    ],
)
def test_file_name_cannot_break_its_header(name: str, plain: str) -> None:
    header = disposition(name)
    assert header.startswith(f'attachment; filename="{plain}"; filename*=UTF-8')
    assert header.isascii()
    assert header.count('"') == 2
    assert header.isprintable()
