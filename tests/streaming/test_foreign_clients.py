"""Clients that we did not write get every text as it was said, whatever is in it, and come back for just the rest."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from app.auth.bearer_tokens import Tokens
from app.core.eventlog.log import EventLog
from app.core.ids import new_id
from app.core.jobs.service import JobRequest, Jobs
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests.faults.publisher import make_project
from tests.faults.rig import Rig, rigged
from tests.npm import node_modules
from tests.programs import program
from tests.support import Client, NoDispatcher, data, until

USER = "alice"
NASTY = [
    "two\nlines",
    "a carriage\rreturn, and \r\n both",
    "ends here\n\nevent: audio:complete\ndata: {}\nid: 9-9\n\n",
    "\r\rretry: 1\r: comment\r\r",
    "line\u2028and paragraph\u2029separators, next\x85line, \x0b\x0c\x1c\x1e",
    "emoji 🎙️👩‍👩‍👧, 中文, العربية\u202e, a\u0301, \U0010ffff",
    "NUL \0 and controls \x01\x1b[31m\x7f",
    "\ufeffa mark at the start",
    '"quotes" \\ backslash \\n \\u0000 </script>',
    " spaces around ",
    ":",
]

NODE_CLIENT = """
import { EventSource } from 'eventsource';
const [, , url, token] = process.argv;
const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
});
const tell = ({ type, lastEventId, data }) => console.log(JSON.stringify({ type, id: lastEventId, data }));
for (const type of ['ready', 'reset', 'audio:progress', 'audio:complete', 'audio:failed']) {
  source.addEventListener(type, tell);
}
"""


async def fail_with(jobs: Jobs, project: str, text: str) -> None:
    """A narration that ends with `text` as its reason."""
    job, _ = await jobs.create(USER, JobRequest(NARRATION, project, "en", chapter=new_id()))
    await jobs.fail(await jobs.claim(USER, job.id, "start"), "tts_failed", text)


async def say(jobs: Jobs, redis: Redis, texts: Sequence[str]) -> None:
    project = await make_project(redis, USER)
    for text in texts:
        await fail_with(jobs, project, text)


def said(events: Sequence[tuple[str, str]]) -> list[str]:
    """The reasons in events that are told as type and data."""
    return [json.loads(told)["error"]["message"] for type, told in events if type == "audio:failed"]


@pytest.fixture
def token(settings: Settings) -> str:
    return Tokens(settings.signing_key()).sign(USER, 3600)


@asynccontextmanager
async def printing(*command: str, cwd: Path) -> AsyncIterator[list[str]]:
    """The lines that a program has printed so far, for as long as the context is open; then it is ended."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, limit=1 << 20, env={"PATH": os.environ["PATH"]}
    )
    assert process.stdout is not None
    lines: list[str] = []

    async def listen(output: asyncio.StreamReader) -> None:
        async for line in output:
            lines.append(line.decode())

    listening = asyncio.create_task(listen(process.stdout))
    try:
        yield lines
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await listening


async def test_httpx_sse_gets_every_text_as_it_was_said(alice: Client, jobs: Jobs, redis: Redis) -> None:
    async with alice.stream() as stream:
        await stream.next("ready")
        await say(jobs, redis, NASTY)
        heard = [await stream.next("audio:failed") for _ in NASTY]
    assert [data(event)["error"]["message"] for event in heard] == NASTY


async def test_curl_gets_every_text_as_it_was_said(
    address: str, token: str, jobs: Jobs, redis: Redis, tmp_path: Path
) -> None:
    program("curl")
    command = ["curl", "--silent", "--no-buffer", "--header", f"Authorization: Bearer {token}", f"{address}/api/events"]
    async with printing(*command, cwd=tmp_path) as lines:
        await until(lambda: "event: ready\r\n" in lines)
        await say(jobs, redis, NASTY)
        await until(lambda: lines.count("event: audio:failed\r\n") == len(NASTY) and lines[-1] == "\r\n")
    # As somebody with grep would read it: a type, and under it its data, one line each.
    events = [(type[7:-2], told[6:-2]) for type, told in pairwise(lines) if type.startswith("event: audio:")]
    assert said(events) == NASTY
    assert [type for type, _ in events] == ["audio:progress", "audio:progress", "audio:failed"] * len(NASTY)


async def test_long_poll_gets_every_text_as_it_was_said(alice: Client, jobs: Jobs, redis: Redis) -> None:
    start = (await alice.poll())["cursor"]
    await say(jobs, redis, NASTY)
    answer = await alice.poll(after=start)
    heard = [event for event in answer["events"] if event["type"] == "audio:failed"]
    assert [event["data"]["error"]["message"] for event in heard] == NASTY


async def test_snapshot_after_a_gap_has_every_text_as_it_was_said(alice: Client, jobs: Jobs, redis: Redis) -> None:
    await say(jobs, redis, NASTY)
    async with alice.stream(headers={"Last-Event-ID": "1-1"}) as stream:
        reset = data(await stream.next("reset"))
    polled = (await alice.poll(after="1-1"))["reset"]
    for snapshot in (reset, polled):
        assert sorted(job["error"]["message"] for job in snapshot["jobs"]) == sorted(NASTY)


@pytest.mark.parametrize("title", [text for text in NASTY if text.strip() == text and "\0" not in text])
async def test_title_does_not_disturb_the_stream(alice: Client, title: str) -> None:
    async with alice.stream() as stream:
        await stream.next("ready")
        project = await alice.create(title=title)
        event = await stream.next()
    assert (event.event, data(event)["projectId"]) == ("parse:progress", project["id"])
    assert (await alice.project(project["id"]))["title"] == project["title"] == title


@pytest.mark.parametrize("field", ["title", "text"])
async def test_lone_surrogate_in_a_request_is_refused(alice: Client, field: str) -> None:
    body = {"text": "Once upon a time.", field: "half \ud83d of a pair"}
    answer = await alice.http.post(
        "/api/projects", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert answer.is_client_error, answer.text


@pytest.mark.parametrize("text", ["half \ud83d of a pair", "\udc80", "\udfff\ud800"])
async def test_lone_surrogate_neither_breaks_the_stream_nor_keeps_the_job_from_ending(
    alice: Client, jobs: Jobs, redis: Redis, text: str
) -> None:
    async with alice.stream() as stream:
        await stream.next("ready")
        await say(jobs, redis, [text, "afterwards"])
        first, second = [data(await stream.next("audio:failed")) for _ in range(2)]
    assert first["error"]["message"] in {text, text.encode("utf-8", "replace").decode()}
    assert second["error"]["message"] == "afterwards"


@pytest.fixture(scope="session")
def eventsource() -> Path:
    """The folder with the npm package `eventsource`."""
    return node_modules("eventsource", "^4")


@pytest.fixture
def node_client(eventsource: Path, tmp_path: Path) -> Path:
    """A program for Node.js that prints each event as a line of JSON."""
    (tmp_path / "node_modules").symlink_to(eventsource)
    script = tmp_path / "client.mjs"
    script.write_text(NODE_CLIENT)
    return script


Heard = Callable[[], list[dict[str, Any]]]


@asynccontextmanager
async def node(script: Path, address: str, token: str) -> AsyncIterator[Heard]:
    """What npm's eventsource has heard so far; entered when it is connected."""
    async with printing("node", str(script), f"{address}/api/events", token, cwd=script.parent) as lines:

        def heard() -> list[dict[str, Any]]:
            return [json.loads(line) for line in lines]

        await until(heard)
        yield heard


async def test_eventsource_of_npm_gets_every_text_as_it_was_said(
    node_client: Path, address: str, token: str, jobs: Jobs, redis: Redis
) -> None:
    async with node(node_client, address, token) as heard:
        await say(jobs, redis, NASTY)
        await until(lambda: sum(event["type"] == "audio:failed" for event in heard()) == len(NASTY))
        assert said([(event["type"], event["data"]) for event in heard()]) == NASTY


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with rigged() as rig:
        yield rig


async def test_eventsource_of_npm_comes_back_by_itself_for_exactly_the_rest(node_client: Path, rig: Rig) -> None:
    web = await rig.web()
    async with rig.client as redis, node(node_client, web.address, rig.token(USER)) as heard:
        jobs = Jobs(redis, EventLog(redis, rig.settings), rig.settings, NoDispatcher())
        await say(jobs, redis, NASTY[:2])
        await until(lambda: len(heard()) == 7)
        web.kill()
        await say(jobs, redis, NASTY[2:4])
        await web.restart()
        await until(lambda: sum(event["type"] == "ready" for event in heard()) == 2)
        await say(jobs, redis, NASTY[4:6])
        await until(lambda: len(heard()) >= 2 + 6 * 3)
    events = [event for event in heard() if event["type"] != "ready"]
    assert [int(event["id"].split("-")[1]) for event in events] == list(range(1, 19))
    assert said([(event["type"], event["data"]) for event in events]) == NASTY[:6]
