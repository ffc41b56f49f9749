"""Kept sound does not grow without end: what is old goes, then the oldest; and what was deleted stays deleted."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.core.jobs.service import Jobs
from app.core.projects.deletion import ProjectDeletion
from app.core.projects.service import Projects, UploadedManuscript
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage
from tests.support import until
from workers.runtime.sweeper import sweep_segments

DAY = 86400


async def keep(store: Storage, settings: Settings, name: str, size: int, age: float) -> Path:
    path = f"{paths.segments_prefix('alice', 'p1')}/{name}.flac"
    await store.put(path, bytes(size))
    file = settings.data_dir / "storage" / path
    os.utime(file, (time.time() - age, time.time() - age))
    return file


async def test_old_segments_go(storage: Storage, settings: Settings) -> None:
    old = await keep(storage, settings, "old", 10, 31 * DAY)
    new = await keep(storage, settings, "new", 10, 29 * DAY)
    assert (await sweep_segments(storage, settings))[0] == 1
    assert (old.exists(), new.exists()) == (False, True)


async def test_oldest_segments_make_room(storage: Storage, settings: Settings) -> None:
    files = [await keep(storage, settings, f"s{number}", 100, (20 - number) * 60) for number in range(20)]
    few = settings.model_copy(update={"max_segment_bytes": 1000})
    assert (await sweep_segments(storage, few))[0] == 11
    assert [file.exists() for file in files] == [False] * 11 + [True] * 9
    assert (await sweep_segments(storage, few))[0] == 0


async def test_upload_that_was_never_finished_goes_after_a_day(storage: Storage, settings: Settings) -> None:
    whole = await keep(storage, settings, "whole", 10, 3 * DAY)
    old, new = (whole.with_name(f"{name}.m4b#1") for name in ("old", "new"))
    for file in (old, new):
        file.write_bytes(b"half of it")
    os.utime(old, (time.time() - 2 * DAY, time.time() - 2 * DAY))
    assert await storage.delete_unfinished(datetime.now(UTC) - timedelta(days=1)) == 1
    assert (whole.exists(), old.exists(), new.exists()) == (True, False, True)


async def test_nothing_kept_is_nothing_to_sweep(storage: Storage, settings: Settings) -> None:
    assert (await sweep_segments(storage, settings))[0] == 0


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_seconds": 0.05})


async def test_what_a_late_worker_wrote_goes_with_the_sweep(
    redis: Redis, storage: Storage, jobs: Jobs, projects: Projects, quick: Settings
) -> None:
    project, _ = await projects.create("alice", UploadedManuscript(b"Hello.", "txt", "Hello", "en"))
    deletion = ProjectDeletion(redis, storage, jobs, quick)
    await deletion.delete("alice", project.id)
    path = f"u-alice/projects/{project.id}/audio/late.mp3"
    await storage.put(path, b"late")

    async def swept() -> bool:
        await deletion.sweep()
        return not await redis.exists(keys.DELETED)

    await until(swept)
    assert not await storage.has(path)


async def test_deletion_that_was_cut_short_is_finished_by_the_sweep(
    redis: Redis, storage: Storage, jobs: Jobs, projects: Projects, quick: Settings
) -> None:
    project, job = await projects.create("alice", UploadedManuscript(b"Hello.", "txt", "Hello", "en"))
    await redis.zadd(keys.DELETED, {f"alice {project.id}": 1})
    await redis.set(keys.deleted("alice", project.id), "1")
    assert await ProjectDeletion(redis, storage, jobs, quick).sweep() == 1
    assert await projects.all("alice") == []
    assert await jobs.find("alice", job.id) is None
    assert not await redis.exists(keys.open_jobs("alice"), keys.project("alice", project.id))


async def test_deletion_that_never_began_deletes_nothing(
    redis: Redis, storage: Storage, jobs: Jobs, projects: Projects, quick: Settings
) -> None:
    project, _ = await projects.create("alice", UploadedManuscript(b"Hello.", "txt", "Hello", "en"))
    await redis.zadd(keys.DELETED, {f"alice {project.id}": 1})
    assert await ProjectDeletion(redis, storage, jobs, quick).sweep() == 1
    assert [found.id for found in await projects.all("alice")] == [project.id]
