"""What a reader of the stream and of the long poll is promised."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.auth.bearer_tokens import Tokens
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.redis import keys
from app.core.settings import Settings
from app.streaming.hub import Hub
from tests.conftest import serve, signed_in
from tests.streaming.test_foreign_clients import USER, say
from tests.support import Client, HandWorker, data, until


@pytest.fixture
async def chapter(alice: Client, worker: HandWorker) -> dict[str, Any]:
    """A parsed chapter of alice's."""
    project = await alice.create()
    await worker.parse("alice", project["job"])
    [chapter] = (await alice.project(project["id"]))["chapters"]
    return dict(chapter)


async def narrated(alice: Client, worker: HandWorker, chapter: dict[str, Any], steps: int = 3) -> None:
    """One narration from beginning to end."""
    claim = await worker.start("alice", await alice.narrate(chapter["projectId"], chapter["id"]))
    for done in range(steps + 1):
        await worker.advance(claim, done, steps)
    await worker.finish(claim)


async def test_stream_begins_with_retry_padding_and_ready(alice: Client) -> None:
    async with alice.http.stream("GET", "/api/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store, no-transform"
        assert answer.headers["x-accel-buffering"] == "no"
        first = await anext(answer.aiter_text())
    assert len(first) > 2048
    assert "retry: " in first
    assert "event: ready" in first


async def test_events_come_live_in_order_and_without_holes(
    alice: Client, worker: HandWorker, chapter: dict[str, Any]
) -> None:
    async with alice.stream() as stream:
        ready = await stream.next()
        assert ready.event == "ready"
        assert set(data(ready)) == {"cursor", "connectionId", "heartbeatSeconds"}
        await narrated(alice, worker, chapter)
        seen = await stream.until("audio:complete")
    before = int(data(ready)["cursor"].split("-")[1])
    assert [int(event.id.split("-")[1]) for event in seen] == list(range(before + 1, before + 1 + len(seen)))
    percentages = [data(event)["progress"]["percentage"] for event in seen[:-1]]
    assert percentages == [0, 10, 30, 50, 70, 90, 100]
    for event in seen:
        assert {"projectId", "jobId", "at", "chapterId"} <= set(data(event))


async def test_long_poll_gives_the_same_bytes_under_the_same_ids(
    alice: Client, worker: HandWorker, chapter: dict[str, Any]
) -> None:
    start = (await alice.poll())["cursor"]
    async with alice.stream(params={"after": start}) as stream:
        await stream.next("ready")
        await narrated(alice, worker, chapter)
        pushed = await stream.until("audio:complete")
    answer = await alice.http.get(f"/api/events?after={start}", headers={"Accept": "application/json"})
    polled = answer.json()
    assert [(event["id"], event["type"], event["data"]) for event in polled["events"]] == [
        (event.id, event.event, data(event)) for event in pushed
    ]
    assert all(event.data in answer.text for event in pushed)
    assert polled["cursor"] == pushed[-1].id
    assert polled["reset"] is None


@pytest.mark.parametrize("form", ["header", "query"])
async def test_reconnecting_gives_exactly_the_rest(
    alice: Client, worker: HandWorker, chapter: dict[str, Any], form: str
) -> None:
    async with alice.stream() as stream:
        await stream.next("ready")
        await narrated(alice, worker, chapter)
        seen = await stream.until("audio:complete")
    for index, last in enumerate(seen[:-1]):
        options: dict[str, Any] = (
            {"headers": {"Last-Event-ID": last.id}} if form == "header" else {"params": {"after": last.id}}
        )
        async with alice.stream(**options) as stream:
            assert data(await stream.next("ready"))["cursor"] == last.id
            rest = await stream.until("audio:complete")
        assert [event.id for event in rest] == [event.id for event in seen[index + 1 :]]


async def test_long_poll_answers_as_soon_as_something_happens(
    alice: Client, worker: HandWorker, chapter: dict[str, Any]
) -> None:
    cursor = (await alice.poll())["cursor"]
    waiting = asyncio.create_task(alice.poll(after=cursor, wait=20))
    await alice.narrate(chapter["projectId"], chapter["id"])
    async with asyncio.timeout(5):
        answer = await waiting
    assert [event["type"] for event in answer["events"]] == ["audio:progress"]
    assert answer["cursor"] == answer["events"][-1]["id"]


async def test_long_poll_in_which_nothing_happens_ends_empty(alice: Client) -> None:
    cursor = (await alice.poll())["cursor"]
    assert await alice.poll(after=cursor, wait=0.1) == {"events": [], "cursor": cursor, "reset": None}


async def test_stream_narrowed_to_a_project_hears_of_that_one_only(alice: Client, worker: HandWorker) -> None:
    one, other = await alice.create(), await alice.create()
    start = one["job"]["version"].split("-")[0] + "-0"
    async with alice.stream(params={"project": one["id"], "after": start}) as stream:
        await stream.next("ready")
        await worker.parse("alice", other["job"])
        await worker.parse("alice", one["job"])
        seen = await stream.until("parse:complete")
    assert {data(event)["projectId"] for event in seen} == {one["id"]}
    polled = await alice.poll(project=one["id"], after=start)
    assert [event["id"] for event in polled["events"]] == [event.id for event in seen]


async def test_nobody_hears_of_another_users_events(alice: Client, mallory: Client) -> None:
    async with mallory.stream() as stream:
        await stream.next("ready")
        await alice.create()
        mine = await mallory.create()
        event = await stream.next()
    assert data(event)["projectId"] == mine["id"]


async def test_silence_is_broken_by_named_heartbeats_without_an_id(alice: Client) -> None:
    async with alice.stream() as stream:
        ready = await stream.next("ready")
        heartbeat = await stream.next("heartbeat")
    # The parser keeps the last id, so a heartbeat shows the one of `ready`.
    assert heartbeat.id == ready.id


@pytest.mark.parametrize("loss", ["deleted", "trimmed", "never"])
async def test_reader_behind_what_is_left_of_the_log_gets_reset_with_a_snapshot(
    alice: Client, worker: HandWorker, chapter: dict[str, Any], redis: Redis, loss: str
) -> None:
    old = (await alice.poll())["cursor"]
    await narrated(alice, worker, chapter)
    if loss == "deleted":
        await redis.delete(keys.log("alice"))
    elif loss == "trimmed":
        await redis.xtrim(keys.log("alice"), maxlen=1, approximate=False)
    else:
        old = "1767225600-9999999"
    async with alice.stream(headers={"Last-Event-ID": old}) as stream:
        await stream.next("ready")
        reset = await stream.next()
        assert reset.event == "reset"
        assert reset.id == data(reset)["cursor"]
        await alice.create()
        assert (await stream.next()).event == "parse:progress"
    states = {job["queue"]: job["state"] for job in data(reset)["jobs"]}
    assert states == {"text-parsing": "completed", "audio-generation": "completed"}
    polled = await alice.poll(after=old)
    assert polled["events"] == []
    assert polled["reset"]["cursor"] == polled["cursor"]


async def test_readers_miss_nothing_when_the_pubsub_connection_is_cut(
    alice: Client, worker: HandWorker, chapter: dict[str, Any], redis: Redis
) -> None:
    async with alice.stream() as stream:
        await stream.next("ready")
        claim = await worker.start("alice", await alice.narrate(chapter["projectId"], chapter["id"]))
        for done in range(30):
            await worker.advance(claim, done, 30)
            if done % 10 == 5:
                await redis.client_kill_filter(_type="pubsub")
        await worker.finish(claim)
        seen = await stream.until("audio:complete")
    numbers = [int(event.id.split("-")[1]) for event in seen]
    assert numbers == list(range(numbers[0], numbers[0] + 34))


async def test_lost_push_is_found_by_the_check(
    alice: Client, chapter: dict[str, Any], settings: Settings, redis: Redis, log: EventLog
) -> None:
    """A push that never arrives, without any sign of it: only the log's top tells."""
    hub = Hub(log, settings)
    async with hub.running(), hub.reader("alice") as reader:
        start = await log.top("alice")
        assert await reader.read(start, 0) == []
        waiting = asyncio.create_task(reader.read(start, 20))
        unheard = Cursor(start.epoch, start.seq + 1)
        await redis.xadd(keys.log("alice"), {"h": "audio:progress p j full", "d": "{}"}, id=str(unheard))
        await hub.check()
        assert [entry.id for entry in await waiting] == [unheard]


async def test_log_that_lost_its_end_gives_out_no_id_twice(
    alice: Client, worker: HandWorker, chapter: dict[str, Any], redis: Redis
) -> None:
    """As a Redis that crashes may lose the writes of its last second, after readers have heard of them."""
    claim = await worker.start("alice", await alice.narrate(chapter["projectId"], chapter["id"]))
    names = [keys.log("alice"), keys.job("alice", claim.job.id)]
    async with alice.stream() as stream:
        await stream.next("ready")
        kept = [await redis.dump(name) for name in names]
        lost = [await worker.advance(claim, done, 9) for done in range(3)]
        assert [(await stream.next()).id for _ in lost] == lost
        for name, content in zip(names, kept, strict=True):
            await redis.restore(name, 0, content or b"", replace=True)
        await redis.client_kill_filter(_type="pubsub")
        assert (await stream.next()).event == "reset"
        await worker.advance(claim, 5, 9)
        last = await worker.advance(claim, 6, 9)
        seen = [await stream.next()]
        while seen[-1].id != last:
            seen.append(await stream.next())
    # Whoever comes back with an id that was lost is told so, although the log is longer again by now.
    polled = await alice.poll(after=lost[-1])
    assert polled["reset"] is not None
    assert not {event.id for event in seen} & set(lost)


async def test_long_backlog_is_thinned_to_the_latest_progress(
    alice: Client, worker: HandWorker, chapter: dict[str, Any], settings: Settings
) -> None:
    start = (await alice.poll())["cursor"]
    await narrated(alice, worker, chapter, steps=settings.conflate_over + 50)
    polled = await alice.poll(after=start)
    stages = [event["data"]["progress"]["stage"] for event in polled["events"] if event["type"] == "audio:progress"]
    assert stages == ["queued", "start", "synthesis", "done"]
    assert polled["events"][-1]["type"] == "audio:complete"


async def test_stream_ends_with_its_credential_and_says_so_before(address: str, settings: Settings) -> None:
    token = Tokens(settings.signing_key()).sign("alice", 2)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=address, headers=headers) as http, Client(http).stream() as stream:
        types = [event.event for event in await stream.ends()]
    assert types[0] == "ready"
    assert "reauth" in types


async def test_head_answers_without_opening_a_stream(alice: Client) -> None:
    async with asyncio.timeout(5):
        answer = await alice.http.head("/api/events")
    assert answer.status_code == httpx.codes.OK
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_stream_too_many_is_refused_and_the_others_stay(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_streams_per_user": 2, "max_streams": 3})
    async with serve(narrow) as address, signed_in(address, narrow, "alice") as alice:
        async with alice.stream() as first, alice.stream() as second:
            await first.next("ready")
            await second.next("ready")
            refused = await alice.http.get("/api/events")
            assert refused.status_code == httpx.codes.TOO_MANY_REQUESTS
            assert int(refused.headers["retry-after"]) > 0
            async with signed_in(address, narrow, "bob") as bob, bob.stream() as third:
                await third.next("ready")
                full = await bob.http.get("/api/events")
                assert full.status_code == httpx.codes.SERVICE_UNAVAILABLE
                assert full.json()["code"] == "too_many_streams"
            await alice.create()
            assert (await first.next()).event == (await second.next()).event == "parse:progress"

        # A place that was let go is free again.
        async def lets_in() -> bool:
            async with alice.http.stream("GET", "/api/events") as answer:
                return answer.status_code == httpx.codes.OK

        await until(lets_in)


async def test_long_poll_that_is_given_up_gives_its_place_back(alice: Client, redis: Redis) -> None:
    channel = keys.channel("alice")

    async def heard_by(readers: int) -> bool:
        return dict(await redis.pubsub_numsub(channel))[channel.encode()] == readers

    cursor = (await alice.poll())["cursor"]
    waiting = asyncio.create_task(alice.poll(after=cursor, wait=50))
    await until(lambda: heard_by(1))
    waiting.cancel()
    await until(lambda: heard_by(0))


async def test_stream_that_is_left_at_any_moment_gives_its_place_back(
    address: str, settings: Settings, redis: Redis, jobs: Jobs
) -> None:
    """Also in the middle of a command to Redis, whose client may swallow the cancellation."""
    await say(jobs, redis, ["Hello."] * 30)
    token = Tokens(settings.signing_key()).sign(USER, 3600)
    port = int(address.rsplit(":", 1)[1])

    async def come_and_go() -> None:
        source, sink = await asyncio.open_connection("127.0.0.1", port)
        lines = ["GET /api/events?after=1-1 HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", "", ""]
        sink.write("\r\n".join(lines).encode())
        await source.readuntil(b"\r\n\r\n")
        await asyncio.sleep(random.random() * 0.02)
        sink.transport.abort()

    for _ in range(10):
        await asyncio.gather(*(come_and_go() for _ in range(20)))

    async def none() -> bool:
        return not await redis.hvals(keys.streams(USER))

    await until(none)


async def test_events_that_are_held_back_to_be_joined_come_once_whoever_enters_meanwhile(
    alice: Client, worker: HandWorker, chapter: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where more comes than could be written one by one: here after each event, as long as may be."""
    monkeypatch.setattr("app.streaming.hub._REST", 1e9)
    start = (await alice.poll())["cursor"]

    async def read() -> list[str]:
        """Comes again and again, and stays for some events only."""
        ids, seen = [start], ""
        while seen != "audio:complete":
            async with alice.stream(params={"after": ids[-1]}) as stream:
                await stream.next("ready")
                for _ in range(random.randrange(1, 8)):
                    event = await stream.next()
                    ids.append(event.id)
                    if (seen := event.event) == "audio:complete":
                        break
        return ids

    reading = [asyncio.create_task(read()) for _ in range(8)]
    await narrated(alice, worker, chapter, steps=60)
    epoch, first = map(int, start.split("-"))
    for ids in await asyncio.gather(*reading):
        assert ids == [f"{epoch}-{number}" for number in range(first, first + len(ids))]
        assert len(ids) > 60


@pytest.mark.parametrize("cursor", ["$", "abc", "1-2-3", "9" * 4096])
async def test_malformed_cursor_is_refused(alice: Client, cursor: str) -> None:
    for options in ({"headers": {"Last-Event-ID": cursor}}, {"params": {"after": cursor}}):
        answer = await alice.http.get("/api/events", **options)  # type: ignore[arg-type] # two kinds of options
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_cursor_is_told_in_three_ways_and_an_empty_one_is_none(alice: Client) -> None:
    first = (await alice.poll())["cursor"]
    await alice.create()
    last = (await alice.poll())["cursor"]
    assert first != last
    header, other = {"Last-Event-ID": first}, {"Last-Event-ID": ""}
    for options, cursor in [
        ({"headers": header}, first),
        ({"params": {"lastEventId": first}}, first),
        ({"params": {"after": last, "lastEventId": first}}, first),
        ({"headers": header, "params": {"after": last, "lastEventId": last}}, first),
        ({"headers": other, "params": {"lastEventId": "", "after": first}}, first),
        ({"headers": other}, last),
        ({"params": {"lastEventId": ""}}, last),
    ]:
        async with alice.stream(**options) as stream:
            assert data(await stream.next("ready"))["cursor"] == cursor
    refused = await alice.http.get("/api/events", params={"lastEventId": "$"})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_cursor")


@pytest.mark.parametrize("wait", ["abc", "-1", "1e9", "nan", "inf"])
async def test_malformed_wait_is_refused(alice: Client, wait: str) -> None:
    answer = await alice.http.get(f"/api/events?after=1-1&wait={wait}", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_wait")
