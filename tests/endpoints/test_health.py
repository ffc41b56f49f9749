"""Alive and ready, with Redis there and away."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from app.cli import embedded_redis
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from tests import redis_servers
from tests.conftest import serve, signed_in
from tests.support import Client, until


@pytest.fixture
async def away() -> AsyncIterator[Path]:
    """The folder of a Redis that does not run yet."""
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    yield folder
    shutil.rmtree(folder)


async def test_alive_and_ready(anyone: httpx.AsyncClient) -> None:
    assert (await anyone.get("/healthz")).status_code == httpx.codes.OK
    assert (await anyone.get("/readyz")).status_code == httpx.codes.OK


async def test_to_ask_whether_it_is_ready_a_hundred_times_costs_one_look(
    anyone: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    check = Storage.check

    async def counted(self: Storage) -> None:
        looks.append(self)
        await check(self)

    monkeypatch.setattr(Storage, "check", counted)
    monkeypatch.setattr("app.core.status.readiness._FRESH_SECONDS", 3600.0)
    answers = await asyncio.gather(*(anyone.get("/readyz") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(looks) <= 1


async def test_redis_away_is_told_and_got_over(settings: Settings, away: Path) -> None:
    lost = settings.model_copy(update={"redis_url": f"unix://{embedded_redis.socket_of(away)}"})
    async with serve(lost) as address, signed_in(address, lost, "alice") as alice:
        await _all_unavailable(alice)
        assert not list((lost.data_dir / "storage").rglob("manuscript"))
        with subprocess.Popen(redis_servers.command(away)) as redis:
            try:
                await until(lambda: _is(alice, "/readyz", 200))
                created = await until(lambda: _created(alice))
                async with alice.stream() as stream:
                    await stream.next("ready")
                    redis.kill()
                    await until(lambda: _is(alice, "/readyz", 503))
                    await _all_unavailable(alice)
                    with subprocess.Popen(redis_servers.command(away)) as again:
                        try:
                            await until(lambda: _is(alice, "/readyz", 200))
                            # The same stream goes on, and what was there is there.
                            other = await until(lambda: _created(alice))
                            assert other["job"]["id"] in (await stream.next("parse:progress")).data
                            listed = (await alice.http.get("/api/projects")).json()["projects"]
                            assert [project["id"] for project in listed] == [other["id"], created["id"]]
                        finally:
                            again.terminate()
            finally:
                redis.kill()


async def test_redis_that_stalls_is_told_and_got_over_with_nothing_half_made(settings: Settings, redis: Redis) -> None:
    hasty = settings.model_copy(update={"redis_url": f"{settings.redis}?socket_timeout=0.3"})
    async with serve(hasty) as address, signed_in(address, hasty, "alice") as alice, alice.stream() as stream:
        await stream.next("ready")
        await redis.client_pause(2000)
        refused = await alice.http.post("/api/projects", json={"text": "Hello."})
        assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")
        assert int(refused.headers["retry-after"]) > 0
        created = await until(lambda: _created(alice))
        # The first that the stream tells of: of what was refused there is nothing.
        assert created["job"]["id"] in (await stream.next("parse:progress")).data
        listed = (await alice.http.get("/api/projects")).json()["projects"]
        assert [project["id"] for project in listed] == [created["id"]]
        assert len(list((hasty.data_dir / "storage").rglob("manuscript"))) == 1


async def _all_unavailable(alice: Client) -> None:
    assert await _is(alice, "/healthz", 200)
    for answer in (
        await alice.http.get("/readyz"),
        await alice.http.get("/api/projects"),
        await alice.http.post("/api/projects", json={"text": "Hello."}),
        await alice.http.get("/api/events"),
        await alice.http.get("/api/events?after=1-1", headers={"Accept": "application/json"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "redis_unavailable"), answer.text
        assert int(answer.headers["retry-after"]) > 0


async def _is(alice: Client, path: str, status: int) -> bool:
    return (await alice.http.get(path)).status_code == status


async def _created(alice: Client) -> dict[str, dict[str, str]] | None:
    answer = await alice.http.post("/api/projects", json={"text": "Hello."})
    return dict(answer.json()) if answer.status_code == httpx.codes.CREATED else None
