"""The same promises on a Redis Cluster, where each user's log and channel live on one of several servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.auth.sessions import Sessions
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.projects.service import Projects
from app.core.redis import keys
from app.core.redis.client import connect, prepare
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from tests.cluster import running_cluster
from tests.conftest import serve, signed_in
from tests.support import Client, HandWorker, NoDispatcher, Stream

USERS = [f"user-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def ports() -> Iterator[list[int]]:
    with running_cluster() as cluster:
        yield cluster.primaries


@pytest.fixture
async def nodes(ports: list[int]) -> AsyncIterator[list[Redis]]:
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Redis(port=port)) for port in ports]
        for node in nodes:
            await node.flushall()
        yield nodes


@pytest.fixture
def clustered(settings: Settings, ports: list[int]) -> Settings:
    url = f"redis+cluster://127.0.0.1:{ports[0]}"
    return settings.model_copy(update={"redis_url": url, "queue_url": settings.redis_url})


@pytest.fixture
async def worker(clustered: Settings) -> AsyncIterator[HandWorker]:
    redis = connect(clustered.redis)
    await prepare(redis)
    jobs = Jobs(redis, EventLog(redis, clustered), clustered, NoDispatcher())
    yield HandWorker(jobs, Projects(redis, Storage.of(clustered), jobs, clustered))
    await redis.aclose()


async def test_readers_of_many_users_miss_nothing_while_connections_are_cut(
    clustered: Settings, nodes: list[Redis], worker: HandWorker
) -> None:
    async with serve(clustered) as address, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(signed_in(address, clustered, user)) for user in USERS]
        streams = [await stack.enter_async_context(client.stream()) for client in clients]
        for stream in streams:
            await stream.next("ready")
        await _check_sharded(nodes)
        works = [_work(user, client, worker) for user, client in zip(USERS, clients, strict=True)]
        cuts = asyncio.create_task(_cut_for_ever(nodes))
        await asyncio.gather(*works)
        seen = await asyncio.gather(*(_seen(stream) for stream in streams))
        cuts.cancel()
        for client, ids in zip(clients, seen, strict=True):
            epoch = ids[0].split("-")[0]
            assert ids == [f"{epoch}-{seq}" for seq in range(1, len(ids) + 1)]
            polled = await client.poll(after=f"{epoch}-0")
            assert [event["id"] for event in polled["events"]] == ids


async def _check_sharded(nodes: list[Redis]) -> None:
    """Each channel is subscribed to on the server that holds its log, and only there."""

    async def channels() -> list[list[Any]]:
        return [await node.pubsub_shardchannels() for node in nodes]

    found = await channels()
    wanted = [keys.CONTROL, *(keys.channel(user) for user in USERS)]
    assert sorted(channel for on_node in found for channel in on_node) == sorted(name.encode() for name in wanted)
    assert all(found), "twelve users should lie on all three servers"


async def _work(user: str, client: Client, worker: HandWorker) -> None:
    project = await client.create()
    await worker.parse(user, project["job"])
    [chapter] = (await client.project(project["id"]))["chapters"]
    claim = await worker.start(user, await client.narrate(project["id"], chapter["id"]))
    for done in range(40):
        await worker.advance(claim, done, 40)
    await worker.finish(claim)


async def _cut_for_ever(nodes: list[Redis]) -> None:
    while True:
        for node in nodes:
            await node.client_kill_filter(_type="pubsub")
            await asyncio.sleep(0.1)  # between two cuts, so that connections come back at all


async def _seen(stream: Stream) -> list[str]:
    return [event.id for event in await stream.until("audio:complete")]


async def test_writes_for_one_user_are_one_step_on_a_cluster_too(worker: HandWorker, clustered: Settings) -> None:
    async with serve(clustered) as address, signed_in(address, clustered, "alice") as alice:
        project = await alice.create()
        await worker.parse("alice", project["job"], chapters=3)
        found = await alice.project(project["id"])
        assert found["cursor"] == found["job"]["version"]
        assert (await alice.http.delete(f"/api/projects/{project['id']}")).status_code == 204
        assert (await alice.http.get("/api/projects")).json() == {"projects": []}


async def test_signing_out_ends_streams_in_every_process(clustered: Settings, nodes: list[Redis]) -> None:
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(serve(clustered)) for _ in range(2)]
        redis = await stack.enter_async_context(connect(clustered.redis))
        link = await Sessions(redis, clustered).link("alice")
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=first, trust_env=False))
        await http.post("/api/session", json={"link": link})
        there = httpx.AsyncClient(base_url=second, cookies=http.cookies, trust_env=False)
        stream = await stack.enter_async_context(Client(await stack.enter_async_context(there)).stream())
        await stream.next("ready")
        assert (await http.delete("/api/session")).status_code == httpx.codes.NO_CONTENT
        await stream.ends()
