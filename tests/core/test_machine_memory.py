"""The embedded Redis takes a share of what there is: of the machine, or of the container where that has less."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.cli import embedded_redis
from app.core.errors import Unavailable
from app.core.machine_memory import memory_bytes, share_of
from app.core.redis.memory_headroom import MemoryHeadroom


def test_machine_without_limits_has_its_own_memory(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path, tmp_path / "none") > 64 * 1024 * 1024


@pytest.mark.parametrize(
    ("own", "limits", "least"),
    [
        ("0::/a/b\n", {"a/memory.max": "50000000", "a/b/memory.max": "max"}, 50_000_000),
        ("0::/a/b\n", {"a/memory.max": "50000000", "a/b/memory.max": "40000000"}, 40_000_000),
        ("0::/not/here\n", {"memory.max": "30000000"}, 30_000_000),
        ("4:memory:/a\n1:cpu:/a\n", {"memory/a/memory.limit_in_bytes": "20000000"}, 20_000_000),
        ("4:memory:/docker/x\n", {"memory/memory.limit_in_bytes": "10000000"}, 10_000_000),
    ],
)
def test_container_with_a_limit_has_that(tmp_path: Path, own: str, limits: dict[str, str], least: int) -> None:
    (tmp_path / "own").write_text(own)
    for path, limit in limits.items():
        (tmp_path / "groups" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / path).write_text(limit + "\n")
    assert memory_bytes(tmp_path / "groups", tmp_path / "own") == least


def test_embedded_redis_is_told_its_share_and_never_evicts(tmp_path: Path) -> None:
    command = embedded_redis.command(tmp_path, share_of(0.25))
    assert int(command[command.index("--maxmemory") + 1]) >= 64 * 1024 * 1024
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


async def test_nothing_new_is_taken_before_redis_is_full(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.core.redis.memory_headroom._LOOK_SECONDS", 0)
    room = MemoryHeadroom(redis)
    await room.check()
    used = int((await redis.info("memory"))["used_memory"])
    try:
        await redis.config_set("maxmemory", int(used * 1.05))
        with pytest.raises(Unavailable, match="nearly full"):
            await room.check()
        await redis.set("sv:what-goes-on", "x")
        await redis.config_set("maxmemory", used * 4)
        await room.check()
    finally:
        await redis.config_set("maxmemory", 0)


async def test_who_asks_at_once_looks_once(redis: Redis) -> None:
    room = MemoryHeadroom(redis)
    before = int((await redis.info("commandstats")).get("cmdstat_info", {"calls": 0})["calls"])
    await asyncio.gather(*(room.check() for _ in range(20)))
    assert int((await redis.info("commandstats"))["cmdstat_info"]["calls"]) - before <= 2
