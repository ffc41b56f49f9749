"""Snapshots are made in parts and shared: whole at whatever pace, of one moment, and none holds what nobody reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import reduce
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

from app.core.eventlog.log import EventLog
from app.core.jobs.models import Job
from app.core.jobs.service import JobRequest, Jobs
from app.core.packed_ids import PackedIds
from app.core.projects.service import Projects, UploadedManuscript
from app.core.redis import keys
from app.core.vocabulary import NARRATION
from app.streaming.snapshot import Snapshot, Snapshots
from app.streaming.snapshot_writer import SnapshotWriter
from tests import reducer
from tests.support import Client, HandWorker, until

USER = "alice"
CHAPTERS = 120  # more than two parts


@pytest.fixture
async def project(projects: Projects, jobs: Jobs, worker: HandWorker) -> str:
    """The id of a project whose chapters all have a job."""
    made, parsing = await projects.create(USER, UploadedManuscript(b"Text.", "txt", "A book", "en"))
    await worker.parse(USER, parsing.json_dict(), CHAPTERS)
    for chapter in await projects.chapters(USER, made.id):
        await jobs.create(USER, JobRequest(NARRATION, made.id, "en", chapter.id))
    return made.id


@pytest.fixture
def snapshots(log: EventLog, projects: Projects, jobs: Jobs) -> Snapshots:
    return Snapshots(log, projects, jobs)


async def read(snapshot: Snapshot) -> dict[str, Any]:
    return dict(json.loads(b"".join([part async for part in snapshot.parts()])))


async def test_reader_that_reads_slowly_and_the_events_meanwhile_make_the_fresh_snapshot(
    alice: Client, project: str, snapshots: Snapshots, jobs: Jobs
) -> None:
    async with snapshots.reading(USER) as snapshot:
        parts = [await snapshot.part(0)]
        latest = (await jobs.latest(USER, project)).values()
        for job in latest:
            if job.queue == NARRATION:
                await jobs.cancel(USER, job.queue, job.id)
        parts += [part async for part in _from(snapshot, 1)]
    told = json.loads(b"".join(parts))
    assert len(told["jobs"]) == CHAPTERS + 1
    assert {job["state"] for job in told["jobs"]} == {"completed", "waiting", "cancelled"}
    events = (await alice.poll(after=told["cursor"]))["events"]
    fresh = {job.id: job.json_dict() for job in (await jobs.latest(USER, project)).values()}
    picture: Any = reduce(reducer.apply, events, {job["id"]: job for job in told["jobs"]})
    assert reducer.picture(picture) == fresh


async def _from(snapshot: Snapshot, number: int) -> AsyncIterator[bytes]:
    while part := await snapshot.part(number):
        yield part
        number += 1


async def test_readers_of_one_moment_share_one_snapshot_and_it_goes_with_the_last(
    project: str, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = Jobs.find_all

    async def counted(self: Jobs, user: str, ids: list[str]) -> list[Job | None]:
        asked.extend(ids)
        return await original(self, user, ids)

    monkeypatch.setattr(Jobs, "find_all", counted)

    async def one() -> dict[str, Any]:
        async with snapshots.reading(USER) as snapshot:
            return await read(snapshot)

    told = await asyncio.gather(*(one() for _ in range(20)))
    assert all(each == told[0] for each in told)
    assert len(asked) == CHAPTERS + 1
    assert snapshots.kept == 0


async def test_snapshot_whose_cursor_is_gone_is_made_anew_and_one_that_is_far_behind_is_too(
    project: str, snapshots: Snapshots, jobs: Jobs, redis: Redis
) -> None:
    async with snapshots.reading(USER) as first, snapshots.reading(USER) as same:
        assert same is first
        async with snapshots.reading(USER, gone=first.cursor) as other:
            assert other is not first
        await redis.delete(keys.log(USER))
        async with snapshots.reading(USER) as later:
            assert later is not first


async def test_beyond_their_room_snapshots_keep_nothing_and_are_whole(
    project: str, log: EventLog, projects: Projects, jobs: Jobs
) -> None:
    snapshots = Snapshots(log, projects, jobs, room=0)
    async with snapshots.reading(USER) as one, snapshots.reading(USER) as other:
        assert one is not other
        assert [len((await read(each))["jobs"]) for each in (one, other)] == [CHAPTERS + 1] * 2
        assert snapshots.kept == 0


async def test_part_that_redis_did_not_give_is_asked_for_again(
    project: str, snapshots: Snapshots, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failures = Jobs.find_all, iter([False, True, True])

    async def failing(self: Jobs, user: str, ids: list[str]) -> list[Job | None]:
        if next(failures, False):
            raise ConnectionError("cut")
        return await original(self, user, ids)

    monkeypatch.setattr(Jobs, "find_all", failing)
    written: list[bytes] = []
    async with snapshots.reading(USER) as snapshot:
        assert await SnapshotWriter(written.append).run(snapshot) == snapshot.cursor
    # Chunks of a response; what stands in them is one event.
    body = b"".join(chunk.partition(b"\r\n")[2][:-2] for chunk in written)
    [data] = [line for line in body.split(b"\r\n") if line.startswith(b"data: ")]
    assert body.endswith(b"\r\n\r\n")
    assert len(json.loads(data.removeprefix(b"data: "))["jobs"]) == CHAPTERS + 1


async def test_client_that_does_not_read_is_written_no_more_than_a_part(project: str, snapshots: Snapshots) -> None:
    written: list[bytes] = []
    async with snapshots.reading(USER) as snapshot:

        def write(chunk: bytes) -> None:
            written.append(chunk)
            resetting.pause()

        resetting = SnapshotWriter(write)
        task = asyncio.create_task(resetting.run(snapshot))
        for taken in range(1, 4):
            await until(lambda taken=taken: len(written) == taken)
            await snapshot.part(taken)
            assert len(written) == taken
            resetting.resume()
        await until(lambda: len(written) == 4)
        resetting.stop()
        assert await task is None
    assert not resetting


def test_packed_ids_come_back_in_their_order() -> None:
    ids = [f"{number:020}" for number in range(7)]
    first, rest = PackedIds(ids).divided(3)
    second, none = rest.divided(10)
    assert first + second == ids
    assert not none
    assert not PackedIds([])
