"""`up` looks after what it started: it mends what is unfit, says so, and leaves alone what is busy or waits."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.cli import health_checks
from app.cli.health_checks import LOADING, SLOW, HealthWatch
from app.core.settings import Settings
from tests.stack import Stack, command_of, running
from tests.support import until


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running(SMARTVOICE_WATCH_SECONDS="2", SMARTVOICE_HOST="::1", SMARTVOICE_WORKER_PROCESSES="1") as stack:
        yield stack


async def _answers(stack: Stack) -> bool:
    async with Redis(unix_socket_path=str(stack.folder / "redis.sock")) as redis:
        with suppress(RedisError, OSError):
            return bool(await redis.ping())
    return False


async def _ready(stack: Stack) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=2) as http:
        with suppress(httpx.HTTPError):
            return (await http.get(f"{stack.address}/readyz")).status_code == httpx.codes.OK
    return False


def _said(stack: Stack) -> str:
    return (stack.folder.parent / "up.log").read_text()


def _pids(stack: Stack, words: str) -> set[int]:
    return {pid for pid in stack.children() if words in command_of(pid)}


async def test_socket_of_redis_that_is_deleted_comes_back(stack: Stack) -> None:
    assert "[::1]" in stack.address
    (stack.folder / "redis.sock").unlink()
    assert not (stack.folder / "redis.sock").exists()
    await until(lambda: _answers(stack), timeout=40)
    await until(lambda: _ready(stack), timeout=40)
    assert "Redis is unfit: its socket is gone; starting it anew" in _said(stack)


async def test_processes_that_are_stuck_are_started_anew(stack: Stack) -> None:
    sides = {"web": "app.cli web", "worker 1": "app.cli worker"}
    stuck = {name: _pids(stack, words) for name, words in sides.items()}
    assert all(stuck.values())
    for pid in set.union(*stuck.values()):
        os.kill(pid, signal.SIGSTOP)
    for name, words in sides.items():
        await until(partial(_replaced, stack, words, stuck[name]), timeout=60)
        assert f"{name} is unfit: it does not answer; starting it anew" in _said(stack)
    await until(lambda: _ready(stack), timeout=40)


def _replaced(stack: Stack, words: str, former: set[int]) -> bool:
    return bool(now := _pids(stack, words)) and not now & former


@dataclass
class Fake:
    """A child that counts how often it is ended."""

    name: str
    pid: int = field(default_factory=os.getpgrp)
    age: float = 1000.0
    stops: int = 0

    async def stop(self, seconds: float) -> None:
        self.stops += 1


@dataclass
class World:
    """What the watch finds: of Redis, and of everybody else."""

    redis: str = ""
    health: str | None = ""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()

    async def redis_fault(settings: Settings) -> str:
        return world.redis

    async def health_of(settings: Settings) -> dict[int, str | None]:
        return {os.getpid(): world.health}

    monkeypatch.setattr(health_checks, "redis_fault", redis_fault)
    monkeypatch.setattr(health_checks, "health_of", health_of)
    return world


class Clock:
    """The loop's clock, which goes as it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)


async def _look(watch: HealthWatch, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds / 5)):
        clock.now += 5
        await watch.look()


async def test_children_that_wait_for_redis_are_not_judged(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    redis, web = Fake("Redis"), Fake("web")
    (tmp_path / "redis.sock").touch()
    watch = HealthWatch(Settings(data_dir=tmp_path, watch_timeout=30), [redis, web])
    world.redis, world.health = LOADING, None
    await _look(watch, clock, 3600)
    assert (redis.stops, web.stops) == (0, 0)
    # A disk that is slow for minutes is borne, too; not for ever.
    world.redis = SLOW
    await _look(watch, clock, 200)
    assert (redis.stops, web.stops) == (0, 0)
    await _look(watch, clock, 100)
    assert (redis.stops, web.stops) == (1, 0)


async def test_unfit_child_is_started_anew_ever_more_seldom(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = Clock(monkeypatch)
    web: Any = Fake("web")
    watch = HealthWatch(Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1", watch_timeout=30), [web])
    world.health = "Redis does not serve it"
    await _look(watch, clock, 25)
    world.health = ""
    await _look(watch, clock, 5)
    world.health = None
    await _look(watch, clock, 25)
    assert web.stops == 0  # unfit for a while, twice, is not unfit for long
    await _look(watch, clock, 10)
    assert web.stops == 1
    await _look(watch, clock, 3600)
    assert 6 <= web.stops <= 12
    world.health = ""
    await _look(watch, clock, 1300)
    assert watch.records["web"].pause == 0
