"""How a project and its chapters are read, over HTTP: voices, speed, pronunciations, the report, and saying anew."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.core.projects.models import Chapter, Project, voice_settings_digest
from app.core.projects.service import audio_record
from app.core.redis.client import fields
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path, report_path, segment_path
from tests.support import Client, HandWorker

TERM = {"term": "Siobhan", "respelling": "Shivawn", "matchCase": False}


@pytest.fixture
async def project(alice: Client, worker: HandWorker, redis: Redis, storage: Storage) -> dict[str, Any]:
    """A project of alice's with two chapters, the first with audio, a report, and the kept sound of its segments."""
    created = await alice.create("Some text.", title="A book", language="en")
    await worker.parse("alice", created["job"], chapters=2)
    found = await alice.project(created["id"])
    chapter = found["chapters"][0]
    id, name = found["id"], f"{found['id']}-{chapter['id']}-{'0' * 20}"
    ways = voice_settings_digest(Project.model_validate(found), Chapter.model_validate(chapter))
    _, text, digest = await worker.projects.text("alice", id, chapter["id"])
    segments = [
        {"index": 0, "start": 0, "end": 0, "text": "Chapter 1", "flags": []},
        {"index": 1, "start": 0, "end": len(text), "text": text, "flags": ["fast"]},
    ]
    more = [{"seconds": 1.0, "charactersPerSecond": 9.0, "name": f"segment{one['index']}"} for one in segments]
    report = {"segments": [one | other for one, other in zip(segments, more, strict=True)]}
    await storage.put(report_path("alice", name), json.dumps(report).encode())
    await storage.put(audio_path("alice", name), b"sound")
    for one in more:
        await storage.put(segment_path("alice", id, str(one["name"])), b"kept")
    for key, record in audio_record("alice", chapter["id"], name, 2.0, digest, ways).items():
        await redis.hset(key, mapping=fields(record))
    return await alice.project(id)


def url(project: dict[str, Any], chapter: int = 0) -> str:
    return f"/api/projects/{project['id']}/chapters/{project['chapters'][chapter]['id']}"


async def outdated(alice: Client, project: dict[str, Any]) -> bool:
    return bool((await alice.project(project["id"]))["chapters"][0]["outdated"])


async def test_project_is_read_as_was_said_last(alice: Client, project: dict[str, Any]) -> None:
    assert (project["speed"], project["dialogueVoice"], project["pronunciations"]) == (1.0, None, [])
    ways = {"speed": 1.25, "dialogueVoice": "en-us-female", "pronunciations": [TERM]}
    answer = await alice.http.patch(f"/api/projects/{project['id']}", json=ways)
    assert answer.status_code == httpx.codes.OK, answer.text
    found = await alice.project(project["id"])
    assert {name: found[name] for name in ways} == ways
    none: dict[str, Any] = {"speed": 1, "dialogueVoice": None, "pronunciations": []}
    assert (await alice.http.patch(f"/api/projects/{project['id']}", json=none)).json().items() >= none.items()


@pytest.mark.parametrize(
    "change",
    [
        {"speed": 0.4},
        {"speed": 2.1},
        {"speed": None},
        {"dialogueVoice": "no voice\n"},
        {"pronunciations": [TERM] * 501},
        {"pronunciations": [{"term": " ", "respelling": "x"}]},
        {"pronunciations": [{"term": "x", "respelling": ""}]},
        {"pronunciations": [{"term": "x" * 101, "respelling": "x"}]},
        {"pronunciations": None},
    ],
)
async def test_ways_that_cannot_be_are_refused(alice: Client, project: dict[str, Any], change: dict[str, Any]) -> None:
    answer = await alice.http.patch(f"/api/projects/{project['id']}", json=change)
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert answer.json()["code"] == "invalid"


async def test_dictionary_is_bounded_by_its_size_too(alice: Client, project: dict[str, Any]) -> None:
    terms = [{"term": f"{number:03}{'漢' * 97}", "respelling": "字" * 200} for number in range(90)]
    answer = await alice.http.patch(f"/api/projects/{project['id']}", json={"pronunciations": terms})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_pronunciations")
    answer = await alice.http.patch(f"/api/projects/{project['id']}", json={"pronunciations": terms[:40]})
    assert answer.is_success


@pytest.mark.parametrize(
    "change", [{"voice": "en-us"}, {"speed": 1.5}, {"dialogueVoice": "en-us"}, {"pronunciations": [TERM]}]
)
async def test_audio_made_in_another_way_is_outdated_until_the_way_is_the_same_again(
    alice: Client, project: dict[str, Any], change: dict[str, Any]
) -> None:
    assert not await outdated(alice, project)
    await alice.http.patch(f"/api/projects/{project['id']}", json=change)
    assert await outdated(alice, project)
    before: dict[str, Any] = {"voice": None, "speed": 1.0, "dialogueVoice": None, "pronunciations": []}
    await alice.http.patch(f"/api/projects/{project['id']}", json={name: before[name] for name in change})
    assert not await outdated(alice, project)


async def test_title_does_not_make_audio_outdated(alice: Client, project: dict[str, Any]) -> None:
    await alice.http.patch(f"/api/projects/{project['id']}", json={"title": "Another"})
    assert not await outdated(alice, project)


async def test_chapter_has_a_voice_and_a_speed_of_its_own(alice: Client, project: dict[str, Any]) -> None:
    answer = await alice.http.patch(url(project), json={"voice": "en-gb", "speed": 0.8})
    assert (answer.json()["voice"], answer.json()["speed"], answer.json()["outdated"]) == ("en-gb", 0.8, True)
    # The project's no longer matters for it.
    await alice.http.patch(f"/api/projects/{project['id']}", json={"speed": 2})
    answer = await alice.http.patch(url(project), json={"voice": None, "speed": 1})
    assert (answer.json()["voice"], answer.json()["speed"], answer.json()["outdated"]) == (None, 1.0, False)
    for wrong in ({"speed": 3}, {"voice": ""}):
        assert (await alice.http.patch(url(project), json=wrong)).status_code == httpx.codes.UNPROCESSABLE_ENTITY


async def test_report_shows_each_segment_and_which_are_suspicious(alice: Client, project: dict[str, Any]) -> None:
    report = (await alice.http.get(f"{url(project)}/report")).json()
    assert report["audioUrl"] == project["chapters"][0]["audioUrl"]
    assert (report["suspicious"], report["outdated"]) == ([1], False)
    assert report["segments"][1] == {
        "index": 1,
        "start": 0,
        "end": len("Text 1."),
        "text": "Text 1.",
        "seconds": 1.0,
        "charactersPerSecond": 9.0,
        "flags": ["fast"],
    }


async def test_chapter_without_audio_has_no_report(alice: Client, project: dict[str, Any]) -> None:
    for way in (
        alice.http.get(f"{url(project, 1)}/report"),
        alice.http.post(f"{url(project, 1)}/audio", json={"redo": [0]}),
    ):
        answer = await way
        assert (answer.status_code, answer.json()["code"]) == (httpx.codes.NOT_FOUND, "not_found")


async def test_saying_anew_drops_only_those_segments_and_starts_a_job(
    alice: Client, project: dict[str, Any], storage: Storage
) -> None:
    answer = await alice.http.post(f"{url(project)}/audio", json={"redo": [1, 99]})
    assert (answer.status_code, answer.json()["state"]) == (httpx.codes.ACCEPTED, "waiting")
    kept = [await storage.has(segment_path("alice", project["id"], f"segment{index}")) for index in (0, 1)]
    assert kept == [True, False]
    # Until it is made anew the audio is not what was asked for.
    assert await outdated(alice, project)


async def test_the_same_request_says_anew_once(alice: Client, project: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": "once"}
    answers = [await alice.http.post(f"{url(project)}/audio", json={"redo": [1]}, headers=headers) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert (await alice.project(project["id"]))["chapters"][0]["take"] == 1


async def test_other_chapters_cannot_be_asked_to_redo_all_at_once(alice: Client, project: dict[str, Any]) -> None:
    answer = await alice.http.post(f"/api/projects/{project['id']}/audio", json={"redo": [1]})
    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
