"""Manuscript in, narrated chapters out, progress live: real processes, real voice, real sound."""

from __future__ import annotations

import io
import os
import signal
from itertools import groupby
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from httpx_sse import ServerSentEvent

from app.core.eventlog.worker_capacity import WorkerCapacity
from app.core.jobs.progress import STAGES
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests import harmful_files
from tests.stack import Stack, alive, command_of
from tests.support import Client, data, until

STAGES_IN_ORDER = ["queued", "start", "synthesis", "upload", "done"]
BOOK = """第一章 海边

清晨，海面上没有风。渔船一只接一只地出港，灯塔在它们身后熄灭了。

Chapter 2: The Road

The road ran along the cliff for three miles. Nobody had mended it since the winter, and the carts went slowly.

第三章 归来

傍晚的时候，他们都回来了。孩子们在码头上数着船，一只也没有少。
"""


async def _parsed(alice: Client, text: str, **more: Any) -> dict[str, Any]:
    """A project from a txt file, once its chapters are there."""
    answer = await alice.http.post("/api/projects", files={"file": ("book.txt", text.encode())}, data=more)
    assert answer.status_code == httpx.codes.CREATED, answer.text
    created = answer.json()
    url = f"/api/jobs/text-parsing/{created['job']['id']}"

    async def ended() -> bool:
        job = (await alice.http.get(url, headers={"Prefer": "wait=10"})).json()
        assert job["state"] != "failed", job
        return bool(job["state"] == "completed")

    await until(ended)
    return await alice.project(created["id"])


def _seconds(mp3: bytes) -> float:
    with av.open(io.BytesIO(mp3), "r") as container:
        assert container.format.name == "mp3"
        return float(sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0)))


def _check_narration(events: list[ServerSentEvent]) -> None:
    """One job's events: every stage of the table with its texts, never falling, one end."""
    *steps, end = events
    assert end.event == "audio:complete"
    assert {event.event for event in steps} == {"audio:progress"}
    progress = [data(event)["progress"] for event in steps]
    percentages = [one["percentage"] for one in progress]
    assert percentages == sorted(percentages)
    assert {0, 10, 30, 90, 100} <= set(percentages)
    assert [stage for stage, _ in groupby(one["stage"] for one in progress)] == STAGES_IN_ORDER
    for one in progress:
        row = STAGES[NARRATION][one["stage"]]
        assert (one["message"], one["currentStep"]) == (row.message["zh-CN"], row.current_step["zh-CN"])
        assert (one["step"], one["totalSteps"]) == (row.step, 3)


async def test_three_chapters_are_narrated_while_everyone_watches(alice: Client) -> None:
    project = await _parsed(alice, BOOK, language="zh-CN")
    chapters = project["chapters"]
    assert [chapter["title"] for chapter in chapters] == ["第一章 海边", "Chapter 2: The Road", "第三章 归来"]
    async with alice.stream(params={"after": project["cursor"]}) as stream:
        assert (await stream.next()).event == "ready"
        started = (await alice.http.post(f"/api/projects/{project['id']}/audio")).json()["jobs"]
        assert len(started) == len(chapters)
        seen: list[ServerSentEvent] = []
        while sum(event.event == "audio:complete" for event in seen) < len(chapters):
            seen.append(await stream.next())
    epoch, first = project["cursor"].split("-")
    assert [event.id for event in seen] == [f"{epoch}-{int(first) + 1 + index}" for index in range(len(seen))]
    for job in started:
        _check_narration([event for event in seen if data(event)["jobId"] == job["id"]])
    await _check_other_forms(alice, project, seen)
    for event in seen:
        if event.event == "audio:complete":
            mp3 = await alice.http.get(data(event)["audioUrl"])
            assert mp3.headers["content-type"] == "audio/mpeg"
            assert _seconds(mp3.content) == pytest.approx(data(event)["durationSeconds"], abs=0.2)
            # Some 40 to 110 characters are read: neither a beep nor a minute.
            assert 4 < data(event)["durationSeconds"] < 40
    done = await alice.project(project["id"])
    assert all(chapter["audioUrl"] and chapter["job"]["state"] == "completed" for chapter in done["chapters"])


async def _check_other_forms(alice: Client, project: dict[str, Any], seen: list[ServerSentEvent]) -> None:
    """The long poll has the same events, and coming back from the middle brings exactly the rest."""
    polled = await alice.poll(after=project["cursor"])
    assert [(event["id"], event["data"]) for event in polled["events"]] == [(event.id, data(event)) for event in seen]
    middle = len(seen) // 2
    async with alice.stream(headers={"Last-Event-ID": seen[middle].id}) as stream:
        await stream.next("ready")
        assert [(await stream.next()).id for _ in seen[middle + 1 :]] == [event.id for event in seen[middle + 1 :]]


async def test_job_status_is_what_the_events_say(alice: Client) -> None:
    """A snapshot taken at any moment and the events after it make the snapshot of any later moment."""
    project = await _parsed(alice, BOOK)
    job = await alice.narrate(project["id"], project["chapters"][0]["id"])
    url = f"/api/jobs/audio-generation/{job['id']}"
    looks = [job]
    while looks[-1]["state"] in {"waiting", "active"}:
        headers = {"Prefer": "wait=10", "If-None-Match": f'"{looks[-1]["version"]}"'}
        answer = await alice.http.get(url, headers=headers)
        if answer.status_code == httpx.codes.OK:
            looks.append(answer.json())
    events = {event["id"]: event for event in (await alice.poll(after=project["cursor"]))["events"]}
    assert len(looks) > 2
    for look in looks:
        event = events[look["version"]]
        assert event["data"]["at"] == look["updatedAt"]
        assert event["data"]["attempt"] == look["attempt"]
        if event["type"] == "audio:progress":
            assert event["data"]["progress"] == look["progress"]
        else:
            assert (event["type"], look["state"]) == ("audio:complete", "completed")
            assert event["data"]["audioUrl"] == look["result"]["audioUrl"]


async def test_all_processes_know_of_the_same_number_of_places(stack: Stack) -> None:
    """Each worker is started by itself; what a user may have at once is what all of them do at once."""
    settings = Settings(data_dir=stack.folder)
    async with connect(settings.redis) as redis:
        capacity = WorkerCapacity(redis, settings)

        async def whole() -> bool:
            return await capacity.refresh() == settings.worker_processes * settings.worker_concurrency

        await until(whole)
    workers = [pid for pid in stack.children() if "app.cli worker" in command_of(pid)]
    assert workers
    for pid in workers:
        assert b"SMARTVOICE_WORKER_PROCESSES=1" not in Path(f"/proc/{pid}/environ").read_bytes()


async def test_voices_are_told_by_language(alice: Client) -> None:
    voices = (await alice.http.get("/api/voices")).json()
    assert voices["engine"] == "espeak"
    assert {"zh-CN", "en-US"} <= voices["voices"].keys()
    assert all({"id", "name"} <= voice.keys() for spoken in voices["voices"].values() for voice in spoken)


async def test_book_of_another_format_is_read(alice: Client) -> None:
    html = b"<html><body><h1>One</h1><p>First text.</p><h1>Two</h1><p>Second text.</p></body></html>"
    answer = await alice.http.post("/api/projects", files={"file": ("book.html", html)})
    created = answer.json()
    await until(lambda: _state(alice, created["job"]["id"], "completed"))
    assert [chapter["title"] for chapter in (await alice.project(created["id"]))["chapters"]] == ["One", "Two"]


async def test_file_that_turns_out_broken_fails_with_its_reason(alice: Client) -> None:
    broken = harmful_files.archive({**harmful_files.docx(), "word/document.xml": b"<nonsense"})
    answer = await alice.http.post("/api/projects", files={"file": ("book.docx", broken)})
    created = answer.json()
    await until(lambda: _state(alice, created["job"]["id"], "failed"))
    job = (await alice.http.get(f"/api/jobs/text-parsing/{created['job']['id']}")).json()
    assert job["error"]["code"] == "conversion_failed"
    assert "Traceback" not in job["error"]["message"]


async def _state(alice: Client, job: str, state: str) -> bool:
    return bool((await alice.http.get(f"/api/jobs/text-parsing/{job}")).json()["state"] == state)


async def test_killed_processes_come_back_and_the_work_goes_on(alice: Client, stack: Stack) -> None:
    """Each of Redis, web and worker is killed once; what was there is there, and new work is done."""
    project = await _parsed(alice, BOOK)
    for what in ("/redis.sock", "app.cli web", "app.cli worker"):
        before = _processes(stack, what)
        os.kill(before[-1], signal.SIGKILL)
        # It is started anew within two seconds; a machine that runs tests may take longer.
        await until(lambda what=what, before=before: set(_processes(stack, what)) - set(before), timeout=6)
        await until(lambda: _ready(alice))
    job = await alice.narrate(project["id"], project["chapters"][0]["id"])

    async def completed() -> bool:
        answer = await alice.http.get(f"/api/jobs/audio-generation/{job['id']}")
        return answer.status_code == httpx.codes.OK and answer.json()["state"] == "completed"

    await until(completed, timeout=40)


def _processes(stack: Stack, what: str) -> list[int]:
    return [pid for pid in stack.children() if what in command_of(pid) and alive(pid)]


async def _ready(alice: Client) -> bool:
    try:
        return (await alice.http.get("/readyz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def test_worker_killed_in_the_middle_is_taken_over(alice: Client, stack: Stack) -> None:
    text = "The tide came in, and the tide went out, and nobody on the shore took any notice of it. " * 1500
    project = await _parsed(alice, text)
    job = await alice.narrate(project["id"], project["chapters"][0]["id"])
    url = f"/api/jobs/audio-generation/{job['id']}"

    async def look() -> dict[str, Any]:
        return dict((await alice.http.get(url)).json())

    await until(lambda: _synthesising(look))
    for pid in stack.children():
        if "app.cli worker" in command_of(pid) and alive(pid):
            os.kill(pid, signal.SIGKILL)

    async def retaken() -> bool:
        now = await look()
        return bool(now["attempt"] == 2 and now["progress"]["stage"] == "synthesis")

    await until(retaken, timeout=40)
    cancelled = (await alice.http.delete(url)).json()
    assert cancelled["state"] == "cancelled"
    events = (await alice.poll(after=project["cursor"]))["events"]
    assert [event["type"] for event in events].count("audio:cancelled") == 1


async def _synthesising(look: Any) -> bool:
    now = await look()
    return bool(now["progress"]["stage"] == "synthesis" and now["progress"]["unitsDone"] > 0)


async def test_chapter_is_read_in_chosen_ways_and_reported_on_and_a_part_of_it_said_anew(alice: Client) -> None:
    project = await _parsed(alice, "Siobhan paid $5.\n\n“Why?” he asked, and nobody said a word.", language="en")
    id, chapter = project["id"], project["chapters"][0]["id"]
    url = f"/api/projects/{id}/chapters/{chapter}"
    ways = {
        "speed": 1.5,
        "dialogueVoice": "en-us-female",
        "pronunciations": [{"term": "Siobhan", "respelling": "Shivawn"}],
    }
    assert (await alice.http.patch(f"/api/projects/{id}", json=ways)).status_code == httpx.codes.OK

    async def narrated(body: dict[str, Any] | None = None) -> dict[str, Any]:
        job = (await alice.http.post(f"{url}/audio", json=body or {})).json()
        ending = {"Prefer": "wait=10"}

        async def ended() -> bool:
            found = (await alice.http.get(f"/api/jobs/{NARRATION}/{job['id']}", headers=ending)).json()
            assert found["state"] != "failed", found
            return bool(found["state"] == "completed")

        await until(ended)
        return dict((await alice.http.get(url)).json())

    first = await narrated()
    assert not first["outdated"]
    report = (await alice.http.get(f"{url}/report")).json()
    assert "".join(first["text"][one["start"] : one["end"]] for one in report["segments"]) == first["text"]
    assert sum(one["seconds"] for one in report["segments"]) < first["durationSeconds"]
    again = await narrated({"redo": [0]})
    assert not again["outdated"]
    assert again["audioUrl"] != first["audioUrl"]
    for name in (first["audioUrl"], again["audioUrl"]):
        assert (await alice.http.get(name)).status_code == httpx.codes.OK
