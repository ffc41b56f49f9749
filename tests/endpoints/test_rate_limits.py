"""Rates and places are the user's own, hold over all web processes, and are settled before a body is read."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from app.auth.bearer_tokens import Tokens
from app.core.redis import keys
from app.core.redis.client import names
from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.faults.readers import SseReader
from tests.faults.rig import Rig, rigged
from tests.support import Client, until


async def test_thousand_posts_are_refused_beyond_the_rate_over_two_processes() -> None:
    async with rigged() as rig:
        webs = [await rig.web(max_changes_per_minute=100) for _ in range(2)]
        async with rig.client as redis:
            begun = (await redis.time())[0]
            answers = await _rush(rig, [web.address for web in webs], 1000)
            earned = ((await redis.time())[0] - begun + 1) * 100 / 60
        passed = [answer for answer in answers if answer.status_code == httpx.codes.NOT_FOUND]
        refused = [answer for answer in answers if answer.status_code == httpx.codes.TOO_MANY_REQUESTS]
        assert len(passed) + len(refused) == 1000
        assert 100 <= len(passed) <= 100 + earned
        assert {answer.json()["code"] for answer in refused} == {"too_many_changes"}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        async with httpx.AsyncClient(base_url=webs[0].address, trust_env=False) as http:
            bearer = {"Authorization": f"Bearer {rig.token('bob')}"}
            assert (await http.post("/api/projects", json={"text": "Hello."}, headers=bearer)).is_success
            mine = {"Authorization": f"Bearer {rig.token('alice')}"}
            assert (await http.get("/api/projects", headers=mine)).is_success
            assert (await http.delete("/api/projects/x", headers=mine)).status_code == httpx.codes.NOT_FOUND


async def _rush(rig: Rig, addresses: list[str], number: int) -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {rig.token('alice')}"}
    answers: list[httpx.Response] = []
    async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
        urls = [f"{address}/api/projects/x/audio" for address in addresses] * 10
        while len(answers) < number:
            answers += await asyncio.gather(*(http.post(url) for url in urls))
    return answers


async def test_upload_beyond_the_rate_is_refused_before_its_body_is_asked_for(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_uploads_per_minute": 1})
    async with serve(narrow) as address, signed_in(address, narrow, "alice") as alice:
        created = await alice.create()
        source, sink = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
        token = Tokens(narrow.signing_key()).sign("alice", 60)
        lines = ["POST /api/projects HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
        lines += ["Content-Type: multipart/form-data; boundary=x", "Content-Length: 40000000", "Expect: 100-continue"]
        sink.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(20):
            assert await source.readline() == b"HTTP/1.1 429 Too Many Requests\r\n"
        sink.close()
        # Other changes have a rate of their own.
        assert (await alice.http.patch(f"/api/projects/{created['id']}", json={"title": "x"})).is_success
        refused = await alice.http.post("/api/projects", json={"text": "Hello."})
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many_uploads")


async def test_full_redis_lets_things_be_deleted(alice: Client, redis: Redis) -> None:
    created = await alice.create()
    await redis.config_set("maxmemory", 1)
    try:
        # With a job that is open, whose end is told.
        deleted = await alice.http.delete(f"/api/projects/{created['id']}")
        refused = await alice.http.post("/api/projects", json={"text": "Hello."})
        left = await alice.http.get("/api/projects")
    finally:
        await redis.config_set("maxmemory", 0)
    assert (refused.status_code, refused.json()["code"]) == (503, "redis_refused")
    assert int(refused.headers["retry-after"]) > 0
    assert deleted.status_code == httpx.codes.NO_CONTENT
    assert left.json() == {"projects": []}
    assert await redis.zcard(keys.open_jobs("alice")) == 0
    assert await redis.zcard(keys.DELETED) == 1


async def test_redis_that_wants_a_replica_first_is_told(alice: Client, redis: Redis) -> None:
    await redis.config_set("min-replicas-to-write", 1)
    try:
        refused = await alice.http.post("/api/projects", json={"text": "Hello."})
    finally:
        await redis.config_set("min-replicas-to-write", 0)
    assert (refused.status_code, refused.json()["code"]) == (503, "redis_refused")
    assert int(refused.headers["retry-after"]) > 0


async def test_full_redis_lets_streams_in(alice: Client, redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)
    try:
        async with alice.stream() as stream:
            await stream.next("ready")
            await redis.config_set("maxmemory", 0)
            await until(lambda: redis.hvals(keys.streams("alice")))
    finally:
        await redis.config_set("maxmemory", 0)


async def test_streams_are_counted_over_two_processes_and_a_killed_one_holds_none_for_long() -> None:
    async with rigged() as rig:
        webs = [await rig.web(max_streams_per_user=2) for _ in range(2)]
        readers = [SseReader([web.port], "alice", rig.token("alice"), returns=False) for web in webs]
        tasks = [asyncio.create_task(reader.run()) for reader in readers]
        await until(lambda: all(reader.connections for reader in readers))
        async with rig.client as redis:
            for web in webs:
                assert await _refused(rig, web.address) == (429, "too_many_streams", "5")
            webs[0].kill()
            # As if a minute had passed: who lives says so again.
            for process in names(await redis.zrange(keys.WEBS, 0, -1)):
                await redis.zadd(keys.WEBS, {process: 1})
            third = SseReader([webs[1].port], "alice", rig.token("alice"), returns=False)
            tasks.append(asyncio.create_task(third.run()))
            await until(lambda: third.connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _refused(rig: Rig, address: str) -> tuple[int, str, str]:
    headers = {"Authorization": f"Bearer {rig.token('alice')}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False) as http:
        answer = await http.get("/api/events")
    return answer.status_code, answer.json()["code"], answer.headers["retry-after"]


async def test_thousand_streams_are_refused_beyond_the_limit_and_others_are_served() -> None:
    async with rigged() as rig:
        web = await rig.web(heartbeat_seconds=1)
        readers = [SseReader([web.port], "alice", rig.token("alice"), returns=False) for _ in range(1000)]
        other = SseReader([web.port], "bob", rig.token("bob"), returns=False)
        tasks = [asyncio.create_task(reader.run()) for reader in [*readers, other]]
        try:
            await until(lambda: all(reader.connections or reader.refusals[429] for reader in readers))
            await until(lambda: other.connections)
            assert sum(reader.connections for reader in readers) == rig.settings.max_streams_per_user
            await until(lambda: other.controls["heartbeat"])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_wish_to_wait_for_a_job_beyond_the_limit_is_answered_at_once(settings: Settings) -> None:
    narrow = settings.model_copy(update={"max_streams_per_user": 1})
    async with serve(narrow) as address, signed_in(address, narrow, "alice") as alice:
        job: dict[str, Any] = (await alice.create())["job"]
        async with alice.stream() as stream:
            await stream.next("ready")
            async with asyncio.timeout(20):
                answer = await alice.http.get(f"/api/jobs/{job['queue']}/{job['id']}", headers={"Prefer": "wait=60"})
        assert answer.json() == job
        assert "preference-applied" not in answer.headers
