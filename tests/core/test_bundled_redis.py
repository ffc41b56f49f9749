"""The log on the oldest server that is supported, the one in the wheel: it does not count a log's events itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.cli import embedded
from app.core import cursor, keys
from app.core.cursor import Cursor
from app.core.eventlog import Event, EventLog, Write
from app.core.messages import NARRATION
from app.core.redis import connect
from app.core.settings import Settings
from tests.faults.rig import RedisServer

_USER, _PROJECT = "alice", "p1"


@pytest.fixture
async def bundled() -> AsyncIterator[Redis]:
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    server = RedisServer(folder, embedded.bundled_binary())
    try:
        await server.restart()
        async with connect(server.url) as client:
            yield client
    finally:
        server.close()
        shutil.rmtree(folder)


async def test_log_counts_without_holes_and_begins_anew_where_it_lost_its_end(bundled: Redis) -> None:
    assert (await bundled.info("server"))["redis_version"].startswith("6.2")
    log = EventLog(bundled, Settings())
    await bundled.hset(keys.project(_USER, _PROJECT), "id", _PROJECT)
    write = Write(
        user=_USER,
        project=_PROJECT,
        job="j1",
        queue=NARRATION,
        owner="c1",
        guard="new",
        attempt="0",
        events=[Event("audio:progress", '{"n":0}')],
        fields={"state": "active", "attempt": "0"},
    )
    await log.append(write)
    report = write._replace(guard="report", grace_seconds=60)
    for _ in range(3):
        await log.append(report)
    # Several at once go another way than one.
    await log.append(report._replace(events=[Event("audio:progress", '{"n":1}'), Event("audio:progress", '{"n":2}')]))
    entries = (await log.read(_USER, Cursor(0, 0), 100)).entries
    assert [entry.id.seq for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert all(first.id.precedes(second.id) for first, second in pairwise(entries))

    last = entries[-1].id
    await log.fallen_back(_USER, Cursor(last.epoch, last.seq + 2))
    later = cursor.parse((await log.append(report)).version)
    assert later.epoch > last.epoch
    assert later.seq == 1
    await bundled.delete(keys.log(_USER))
    anew = cursor.parse((await log.append(report)).version)
    assert anew.epoch > later.epoch
    assert anew.seq == 1
