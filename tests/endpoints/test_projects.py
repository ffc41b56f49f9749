"""Projects, chapters and jobs over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.jobs.service import Jobs
from app.core.projects.estimate import SECONDS_PER_CHARACTER, estimate
from app.core.projects.service import audio_record
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import cover_path
from tests.support import Client, HandWorker, data


@pytest.fixture
async def project(alice: Client, worker: HandWorker) -> dict[str, Any]:
    """A parsed project of alice's with three chapters."""
    created = await alice.create("Some text.", title="A book", language="zh-CN", voice="cmn")
    await worker.parse("alice", created["job"], chapters=3)
    return await alice.project(created["id"])


async def test_created_project_comes_with_its_parse_job(alice: Client) -> None:
    answer = await alice.http.post("/api/projects", json={"title": "A book", "text": "Hello.", "language": "en"})
    created = answer.json()
    assert answer.headers["location"] == f"/api/projects/{created['id']}"
    assert created["title"] == "A book"
    assert created["job"]["queue"] == "text-parsing"
    assert created["job"]["state"] == "waiting"
    assert created["job"]["progress"]["stage"] == "queued"


async def test_file_tells_format_and_title(alice: Client) -> None:
    for filename, content, format, title in [
        ("The Sea.txt", b"Hello.", "txt", "The Sea"),
        ("notes.MD", b"# Hello\n\nText.", "md", "notes"),
        ("C:\\books\\old.rtf", b"{\\rtf1 Hello}", "rtf", "old"),
        ('q"uo\r\nte😀.txt', b"Hello.", "txt", None),
        ("x" * 4000 + ".txt", b"Hello.", "txt", "x" * 100),
    ]:
        answer = await alice.http.post("/api/projects", files={"file": (filename, content)})
        assert answer.status_code == httpx.codes.CREATED, (filename, answer.text)
        created = answer.json()
        assert created["format"] == format
        assert title is None or created["title"] == title
        assert "\n" not in created["title"]


async def test_language_is_the_one_said_else_the_texts_own(alice: Client) -> None:
    assert (await alice.create("从前有座山，山里有座庙。"))["language"] == "zh-CN"
    assert (await alice.create("Once upon a time."))["language"] == "en"
    assert (await alice.create("Once upon a time.", language="zh-CN"))["language"] == "zh-CN"


async def test_snapshot_has_chapters_with_their_jobs_and_a_cursor(alice: Client, project: dict[str, Any]) -> None:
    job = await alice.narrate(project["id"], project["chapters"][1]["id"])
    found = await alice.project(project["id"])
    assert [chapter["title"] for chapter in found["chapters"]] == ["Chapter 1", "Chapter 2", "Chapter 3"]
    assert [chapter["job"] for chapter in found["chapters"]] == [None, job, None]
    assert found["cursor"] == job["version"]
    assert found["chapterCount"] == 3


async def test_list_shows_the_newest_first(alice: Client) -> None:
    ids = [(await alice.create())["id"] for _ in range(3)]
    listed = (await alice.http.get("/api/projects")).json()["projects"]
    assert [project["id"] for project in listed] == ids[::-1]
    assert all(project["job"]["state"] == "waiting" for project in listed)


async def test_project_is_renamed_and_gets_another_voice(alice: Client, project: dict[str, Any]) -> None:
    answer = await alice.http.patch(f"/api/projects/{project['id']}", json={"title": "Another", "voice": None})
    assert (answer.json()["title"], answer.json()["voice"]) == ("Another", None)
    again = await alice.project(project["id"])
    assert (again["title"], again["language"]) == ("Another", "zh-CN")


async def test_chapter_is_read_and_edited(alice: Client, project: dict[str, Any]) -> None:
    url = f"/api/projects/{project['id']}/chapters/{project['chapters'][0]['id']}"
    assert (await alice.http.get(url)).json()["text"] == "Text 1."
    changed = (await alice.http.patch(url, json={"title": "One", "text": "Another text.\r\n"})).json()
    assert (changed["title"], changed["characters"]) == ("One", 14)
    assert (await alice.http.get(url)).json()["text"] == "Another text.\n"


async def test_audio_of_an_earlier_text_is_outdated_and_made_anew(
    alice: Client, project: dict[str, Any], worker: HandWorker, jobs: Jobs
) -> None:
    chapter = project["chapters"][0]
    url = f"/api/projects/{project['id']}/chapters/{chapter['id']}"
    claim = await worker.start("alice", await alice.narrate(project["id"], chapter["id"]))
    _, _, digest = await worker.projects.text("alice", project["id"], chapter["id"])
    await jobs.complete(claim, {}, audio_record("alice", chapter["id"], "name", 2.5, digest))
    done = (await alice.http.get(url)).json()
    assert (done["audioUrl"], done["durationSeconds"], done["outdated"]) == ("/audios/name.mp3", 2.5, False)
    assert (await alice.http.patch(url, json={"text": "Edited."})).json()["outdated"]
    started = (await alice.http.post(f"/api/projects/{project['id']}/audio")).json()["jobs"]
    assert {job["chapterId"] for job in started} == {chapter["id"] for chapter in project["chapters"]}


async def test_deleted_project_leaves_nothing_behind(
    alice: Client, mallory: Client, project: dict[str, Any], redis: Redis, settings: Settings
) -> None:
    other = await alice.create("Another.")
    job = await alice.narrate(project["id"], project["chapters"][0]["id"])
    async with alice.stream() as stream:
        await stream.next("ready")
        assert (await alice.http.delete(f"/api/projects/{project['id']}")).status_code == httpx.codes.NO_CONTENT
        ended = await stream.next()
    assert (ended.event, data(ended)["jobId"]) == ("audio:cancelled", job["id"])
    assert (await alice.http.get(f"/api/projects/{project['id']}")).status_code == httpx.codes.NOT_FOUND
    named = [key for key in await redis.keys("*") if project["id"].encode() in key or job["id"].encode() in key]
    # All but the note that it was there, which expires.
    assert named == [keys.deleted("alice", project["id"]).encode()]
    assert await redis.ttl(named[0]) > 0
    url = f"/api/events?project={project['id']}"
    assert (await alice.http.get(url)).status_code == httpx.codes.NO_CONTENT
    assert (await mallory.http.get(url)).status_code == httpx.codes.NOT_FOUND
    files = [path for path in (settings.data_dir / "storage").rglob("*") if path.is_file()]
    assert not [path for path in files if project["id"] in str(path)]
    assert [path for path in files if other["id"] in str(path)]
    assert await redis.zrange(keys.open_jobs("alice"), 0, -1) == [other["job"]["id"].encode()]


async def test_twenty_presses_at_once_are_one_job(alice: Client, project: dict[str, Any]) -> None:
    chapter = project["chapters"][0]["id"]
    started = await asyncio.gather(*(alice.narrate(project["id"], chapter) for _ in range(20)))
    assert len({job["id"] for job in started}) == 1
    polled = await alice.poll(after=project["cursor"])
    assert [event["type"] for event in polled["events"]] == ["audio:progress"]


async def test_job_is_polled_with_etag_and_retry_after(
    alice: Client, mallory: Client, project: dict[str, Any], worker: HandWorker
) -> None:
    job = await alice.narrate(project["id"], project["chapters"][0]["id"])
    url = f"/api/jobs/audio-generation/{job['id']}"
    first = await alice.http.get(url)
    assert first.json() == job
    assert "retry-after" in first.headers
    same = await alice.http.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (httpx.codes.NOT_MODIFIED, b"")
    assert [same.headers[name] for name in ("etag", "retry-after")] == [
        first.headers[name] for name in ("etag", "retry-after")
    ]
    # A version that one knows opens nothing: neither another's job nor that of another kind.
    for client, path in ((mallory, url), (alice, f"/api/jobs/text-parsing/{job['id']}")):
        hidden = await client.http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert hidden.status_code == httpx.codes.NOT_FOUND
    claim = await worker.start("alice", job)
    changed = await alice.http.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.json()["state"], changed.json()["attempt"]) == ("active", 1)
    await worker.finish(claim)
    done = await alice.http.get(url)
    assert (done.json()["state"], done.json()["result"]["durationSeconds"]) == ("completed", 1.5)
    assert "retry-after" not in done.headers
    wrong = await alice.http.get(f"/api/jobs/text-parsing/{job['id']}")
    assert wrong.status_code == httpx.codes.NOT_FOUND


async def test_preferred_wait_ends_when_the_job_changes(
    alice: Client, project: dict[str, Any], worker: HandWorker
) -> None:
    job = await alice.narrate(project["id"], project["chapters"][0]["id"])
    url = f"/api/jobs/audio-generation/{job['id']}"
    headers = {"Prefer": "respond-async, wait=20", "If-None-Match": f'"{job["version"]}"'}
    waiting = asyncio.create_task(alice.http.get(url, headers=headers))
    await worker.start("alice", job)
    async with asyncio.timeout(10):
        answer = await waiting
    assert answer.json()["state"] == "active"
    waited = await alice.http.get(url, headers={"Prefer": "wait=1", "If-None-Match": answer.headers["etag"]})
    assert (waited.status_code, waited.headers["preference-applied"]) == (304, "wait=1")


async def test_cancelled_job_ends_once_and_its_worker_is_refused(
    alice: Client, project: dict[str, Any], worker: HandWorker
) -> None:
    from app.core.errors import Refused

    job = await alice.narrate(project["id"], project["chapters"][0]["id"])
    claim = await worker.start("alice", job)
    url = f"/api/jobs/audio-generation/{job['id']}"
    answers = await asyncio.gather(*(alice.http.delete(url) for _ in range(5)))
    assert {(answer.status_code, answer.json()["state"]) for answer in answers} == {(202, "cancelled")}
    for late in (worker.advance(claim, 1, 2), worker.finish(claim)):
        with pytest.raises(Refused, match="final"):
            await late
    events = (await alice.poll(after=job["version"]))["events"]
    assert [event["type"] for event in events] == ["audio:progress", "audio:cancelled"]


async def test_idempotency_key_gives_the_first_answer_again(
    alice: Client, project: dict[str, Any], worker: HandWorker
) -> None:
    url = f"/api/projects/{project['id']}/chapters/{project['chapters'][0]['id']}/audio"
    headers = {"Idempotency-Key": "press-1"}
    first = await alice.http.post(url, headers=headers)
    await worker.finish(await worker.start("alice", first.json()))
    again = await alice.http.post(url, headers=headers)
    assert (again.status_code, again.json(), again.headers["location"]) == (
        first.status_code,
        first.json(),
        first.headers["location"],
    )
    other = await alice.http.post(url, headers=headers, json={"language": "en"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    fresh = await alice.http.post(url)
    assert fresh.json()["id"] != first.json()["id"]


async def test_job_speaks_its_projects_language_unless_told_otherwise(alice: Client, project: dict[str, Any]) -> None:
    one, other, _ = project["chapters"]
    assert (await alice.narrate(project["id"], one["id"]))["progress"]["message"] == "等待生成"
    url = f"/api/projects/{project['id']}/chapters/{other['id']}/audio"
    answer = await alice.http.post(url, json={"language": "en"})
    assert answer.json()["progress"]["message"] == "Waiting to start"


async def test_files_lie_under_their_user_and_project(alice: Client, settings: Settings) -> None:
    created = await alice.create("Hello.")
    stored = settings.data_dir / "storage" / "u-alice" / "projects" / created["id"] / "manuscript"
    assert await asyncio.to_thread(stored.read_text) == "Hello."


async def test_cover_is_served_with_its_own_type_and_nothing_else_is(
    alice: Client, project: dict[str, Any], redis: Redis, storage: Storage
) -> None:
    url = f"/api/projects/{project['id']}/cover"
    assert (await alice.http.get(url)).status_code == httpx.codes.NOT_FOUND
    await storage.put(cover_path("alice", project["id"]), b"\x89PNG picture")
    for kind, status in [("image/png", 200), ("text/html", 404), ("image/svg+xml", 404)]:
        await redis.hset(keys.project("alice", project["id"]), "coverType", kind)
        assert (await alice.http.get(url)).status_code == status
    await redis.hset(keys.project("alice", project["id"]), "coverType", "image/webp")
    answer = await alice.http.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"\x89PNG picture", "image/webp")
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await alice.http.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == httpx.codes.NOT_MODIFIED


async def test_snapshot_says_what_audio_will_take_and_an_edit_changes_it(
    alice: Client, project: dict[str, Any]
) -> None:
    first = project["chapters"][0]
    assert first["estimatedSeconds"] == round(first["characters"] * SECONDS_PER_CHARACTER["zh-CN"], 1)
    assert (first["estimatedCost"], project["estimatedCost"]) == (None, None)
    url = f"/api/projects/{project['id']}/chapters/{first['id']}"
    longer = (await alice.http.patch(url, json={"text": "长" * 1000})).json()
    assert longer["estimatedSeconds"] == 220
    assert (await alice.project(project["id"]))["estimatedSeconds"] > 220


def test_estimate_follows_speed_and_price(settings: Settings) -> None:
    priced = settings.model_copy(
        update={"price_per_million_characters": 15.0, "tts_engine": "openai", "tts_speed": 2.0}
    )
    assert estimate(100_000, "en", priced) == (3250.0, 1.5)
    assert estimate(100_000, "zh-CN", settings) == (22_000.0, None)
