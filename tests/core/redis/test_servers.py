"""Which server `up` starts, and the log on each that this machine has: the bundled Valkey, and those on PATH."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.cli import embedded_redis
from app.core.eventlog import cursor
from app.core.eventlog.cursor import Cursor
from app.core.eventlog.log import Event, EventLog, JobWrite
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests import redis_servers
from tests.faults.rig import RedisServer

_USER, _PROJECT = "alice", "p1"


def _program(folder: Path, name: str, does: str = "") -> str:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o700)
    return str(program)


def test_bundled_valkey_comes_before_what_is_on_path_and_a_named_one_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = _program(tmp_path / "bin", "keydb-server"), _program(tmp_path / "bin", "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    bundled = embedded_redis.bundled_binary()
    assert bundled
    assert str(embedded_redis.server_of(bundled)).startswith("Valkey 9.1.")
    assert embedded_redis.server_binary() == bundled
    assert embedded_redis.server_binary(named) == embedded_redis.server_binary("keydb-server") == named
    assert embedded_redis.command(tmp_path, binary=named)[0] == named
    broken = _program(tmp_path / "other", "valkey-server", "exit 127")  # as where the system has another libc
    for none in (None, broken):
        monkeypatch.setattr(embedded_redis, "bundled_binary", lambda none=none: none)
        assert embedded_redis.server_binary() == other
    newer = _program(tmp_path / "bin", "valkey-server")
    assert embedded_redis.server_binary() == newer


def test_without_any_server_one_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        embedded_redis.NoRedis, match="SMARTVOICE_REDIS_BINARY is /nowhere/redis, which is no program here"
    ):
        embedded_redis.server_binary("/nowhere/redis")
    monkeypatch.setattr(embedded_redis, "bundled_binary", lambda: None)
    with pytest.raises(embedded_redis.NoRedis, match=r"glibc 2\.28 or newer.*apt-get install valkey-server"):
        embedded_redis.server_binary()


@pytest.fixture(params=redis_servers.all_servers(), ids=lambda path: "-".join(Path(path).parts[-2:]))
async def redis_of_each(request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    server = RedisServer(folder, request.param)
    try:
        await server.restart()
        async with connect(server.url) as client:
            yield client
    finally:
        server.close()
        shutil.rmtree(folder)


async def test_log_counts_without_holes_and_begins_anew_where_it_lost_its_end(redis_of_each: Redis) -> None:
    redis = redis_of_each
    log = EventLog(redis, Settings())
    await redis.hset(keys.project(_USER, _PROJECT), "id", _PROJECT)
    write = JobWrite(
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
    await redis.delete(keys.log(_USER))
    anew = cursor.parse((await log.append(report)).version)
    assert anew.epoch > later.epoch
    assert anew.seq == 1
