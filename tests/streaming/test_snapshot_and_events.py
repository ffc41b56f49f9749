"""Old snapshot + events == fresh snapshot: at whatever moment a reader begins, it ends with the same picture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from redis.asyncio import Redis

from app.core.jobs.service import Claim
from app.core.redis import keys
from tests import reducer
from tests.support import Client, HandWorker, data

Jobs = dict[str, reducer.Job]
Step = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Moment:
    """A snapshot, and the cursor that was taken before it."""

    cursor: str
    jobs: Jobs


async def moment(client: Client) -> Moment:
    """Position before state: what happens between the two is told again, and changes nothing."""
    cursor = (await client.poll())["cursor"]
    listed = (await client.http.get("/api/projects")).json()["projects"]
    projects = [await client.project(project["id"]) for project in listed]
    jobs = [holder["job"] for project in projects for holder in (project, *project["chapters"]) if holder["job"]]
    return Moment(cursor, {job["id"]: job for job in jobs})


async def latest(client: Client, chapter: dict[str, Any]) -> reducer.Job:
    """A chapter's latest job."""
    project = await client.project(chapter["projectId"])
    return next(dict(known["job"]) for known in project["chapters"] if known["id"] == chapter["id"])


async def history(client: Client, worker: HandWorker, redis: Redis) -> AsyncIterator[Step]:
    """Two chapters: one is taken over by another worker, fails, and is made anew; the other is cancelled, then made.

    Each step is one write to the log. A job that is taken has no lease, as if its worker had fallen silent.
    """
    project = await client.create()
    await worker.parse("alice", project["job"], chapters=2)
    first, second = (await client.project(project["id"]))["chapters"]
    claims: list[Claim] = []

    async def start(chapter: dict[str, Any]) -> None:
        await client.narrate(project["id"], chapter["id"])

    async def take(chapter: dict[str, Any]) -> None:
        job = await latest(client, chapter)
        await redis.hset(keys.job("alice", job["id"]), "lease", "0")
        claims.append(await worker.start("alice", job))

    async def cancel(chapter: dict[str, Any]) -> None:
        job = await latest(client, chapter)
        await client.http.delete(f"/api/jobs/audio-generation/{job['id']}")

    yield lambda: start(first)
    yield lambda: start(second)
    yield lambda: take(first)
    yield lambda: worker.advance(claims[0], 0, 4)
    yield lambda: worker.advance(claims[0], 1, 4)
    yield lambda: take(first)
    yield lambda: cancel(second)
    yield lambda: worker.advance(claims[1], 0, 4)
    yield lambda: worker.jobs.fail(claims[1], "tts_failed", "The voice does not answer.")
    yield lambda: start(second)
    yield lambda: take(second)
    yield lambda: start(first)
    yield lambda: worker.advance(claims[2], 2, 4)
    yield lambda: worker.finish(claims[2])


async def test_snapshot_of_any_moment_and_the_events_after_it_make_the_fresh_snapshot(
    alice: Client, worker: HandWorker, redis: Redis
) -> None:
    moments = [await moment(alice)]
    async for step in history(alice, worker, redis):
        moments.append(await moment(alice))
        await step()
    fresh = (await moment(alice)).jobs
    assert sorted(job["state"] for job in fresh.values()) == ["completed", "completed", "waiting"]
    for old in moments:
        events = (await alice.poll(after=old.cursor))["events"]
        assert reducer.picture(reduce(reducer.apply, events, old.jobs)) == fresh


async def test_events_that_a_snapshot_includes_already_change_nothing(
    alice: Client, worker: HandWorker, redis: Redis
) -> None:
    begin = await moment(alice)
    async for step in history(alice, worker, redis):
        await step()
    fresh = (await moment(alice)).jobs
    events = (await alice.poll(after=begin.cursor))["events"]
    assert reducer.picture(reduce(reducer.apply, events, fresh)) == fresh


async def test_stream_and_long_poll_lead_to_the_same_picture(alice: Client, worker: HandWorker, redis: Redis) -> None:
    begin = await moment(alice)
    async for step in history(alice, worker, redis):
        await step()
    polled = (await alice.poll(after=begin.cursor))["events"]
    async with alice.stream(params={"after": begin.cursor}) as stream:
        await stream.next("ready")
        pushed = [await stream.next() for _ in polled]
    told = [{"id": event.id, "type": event.event, "data": data(event)} for event in pushed]
    assert reduce(reducer.apply, told, begin.jobs) == reduce(reducer.apply, polled, begin.jobs)
