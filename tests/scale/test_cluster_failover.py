"""A Redis Cluster whose servers are killed: a replica takes over and all goes on; what is away is told to be away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.exceptions import RedisError

from app.core.redis import keys
from app.core.redis.client import connect
from app.core.redis.cluster import Cluster
from app.core.settings import Settings
from tests.cluster import Cluster as Servers
from tests.cluster import running_cluster
from tests.conftest import serve, signed_in
from tests.faults.readers import ENDS, Crowd, PollReader, SseReader, logged
from tests.faults.rig import rigged
from tests.scale.book import CHAPTERS, Book, check_log, check_told_all
from tests.support import Client, until

USER = "alice"


async def test_url_names_several_servers_and_how_to_speak() -> None:
    found = connect("rediss+cluster://me:p%40ss@a:1,[::1]:2,b")
    assert isinstance(found, Cluster)
    assert {(node.host, node.port) for node in found.startup_nodes} == {("a", 1), ("::1", 2), ("b", 6379)}
    for node in found.startup_nodes:
        assert (node.connection_kwargs["username"], node.connection_kwargs["password"]) == ("me", "p@ss")
        assert node.connection_class is SSLConnection
    await found.aclose()


async def test_script_waits_while_its_keys_are_on_two_servers() -> None:
    with running_cluster() as cluster:
        async with connect(cluster.url, patient=True) as redis:
            await redis.mset({"{book}:one": "1", "{book}:two": "2"})
            with cluster.moving("{book}:one"):
                read = asyncio.ensure_future(redis.mget("{book}:one", "{book}:two"))
                # So often redis-py asks by itself; then it raises.
                await until(lambda: _sent_away(cluster) > RedisCluster.RedisClusterRequestTTL)
                assert not read.done()
            assert await read == [b"1", b"2"]


def _sent_away(cluster: Servers) -> int:
    """How many commands were refused because their keys are on two servers."""
    told = 0
    for port in cluster.primaries:
        with BlockingRedis(port=port) as redis:
            told += redis.info("errorstats").get("errorstat_TRYAGAIN", {}).get("count", 0)
    return told


@pytest.mark.timeout(240)
async def test_book_is_narrated_though_the_primary_of_its_log_is_killed() -> None:
    with running_cluster(replicated=True) as cluster:

        async def kill() -> int:
            killed = cluster.kill_primary_of(keys.log(USER))
            return cluster.replicas[cluster.primaries.index(killed)]

        await _narrated_though(cluster, kill)


@pytest.mark.timeout(240)
async def test_book_is_narrated_though_its_keys_are_moved_to_another_server() -> None:
    with running_cluster() as cluster:

        async def move() -> int:
            # Most that is written names a key that is not there, which Redis does not do while its slot is on its way.
            return await asyncio.to_thread(cluster.move, keys.log(USER))

        logs = await _narrated_though(cluster, move)
        assert any("a channel has moved" in log for log in logs)


async def _narrated_though(cluster: Servers, disturb: Callable[[], Awaitable[int]]) -> list[str]:
    """A book is narrated, read by four, and in its middle `disturb` does something to the cluster; it returns the port
    of the server that is to have the log by then. What the web processes printed is returned."""
    async with rigged() as rig:
        webs = [await rig.web(redis_url=cluster.url, queue_url=rig.redis.url) for _ in range(2)]
        worker = await rig.worker(redis_url=cluster.url, queue_url=rig.redis.url, worker_concurrency=1)
        token = rig.token(USER)
        streams = [SseReader([web.port for web in webs], USER, token) for _ in range(3)]
        polls = [PollReader([web.address for web in webs], token)]
        crowd = Crowd([*streams, *polls])
        async with (
            crowd.reading(),
            rig.client_of(webs[0], USER) as http,
            _asking(http) as answers,
            connect(cluster.url, patient=True) as redis,
        ):
            book = Book(http)
            await book.make()
            await book.narrate()
            await book.done(1)
            there = await disturb()
            assert sum(told.type in ENDS for told in streams[0].events) < CHAPTERS
            await book.done()
            log = await logged(redis, USER)
            check_log(log)
            await check_told_all(crowd.readers, log)
            await _check_heard_by_the_new_primary(there)
        assert set(answers) <= {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}, answers
        for reader in crowd.readers:
            assert set(reader.refusals) <= {httpx.codes.SERVICE_UNAVAILABLE}, reader.refusals
            assert reader.hasty == 0
        for process in (*webs, worker):
            assert not _traceback(process.output), _traceback(process.output)
        return [web.output for web in webs]


def _traceback(output: str) -> str:
    """The first traceback in what a process printed, with what came before and after; empty without one."""
    before, mark, after = output.partition("Traceback")
    return before[-2_000:] + mark + after[:6_000] if mark else ""


async def test_cluster_that_is_away_is_told_and_got_over(settings: Settings) -> None:
    with running_cluster() as cluster:
        own = settings.model_copy(update={"redis_url": cluster.url, "queue_url": settings.redis_url})
        async with serve(own) as address, signed_in(address, own, USER) as alice, alice.stream() as stream:
            await stream.next("ready")
            first = cluster.kill_primary_of(keys.log(USER))
            await _check_away(alice)
            for port in set(cluster.primaries) - {first}:
                cluster.kill(port)
            await _check_away(alice)
            await _check_raises_what_all_are_ready_for(cluster.url)
            for port in cluster.primaries:
                cluster.restart(port)
            await until(lambda: _is_ready(alice))
            # The same stream goes on.
            created = await until(lambda: _created(alice))
            assert created["job"]["id"] in (await stream.next("parse:progress")).data


async def _check_away(alice: Client) -> None:
    async def not_ready() -> bool:
        return not await _is_ready(alice)

    await until(not_ready)
    for answer in (
        await alice.http.get("/api/projects"),
        await alice.http.post("/api/projects", json={"text": "Hello."}),
        await alice.http.get("/api/events"),
        await alice.http.get("/api/events?after=1-1", headers={"Accept": "application/json"}),
        await alice.http.get("/readyz"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "redis_unavailable"), answer.text
        assert int(answer.headers["retry-after"]) > 0


async def _check_raises_what_all_are_ready_for(url: str) -> None:
    """Workers, and all that runs for ever, go on after a RedisError."""
    redis = connect(url)
    with pytest.raises(RedisError):
        await redis.get(keys.VOICES)
    pipe = redis.pipeline(transaction=False)
    pipe.get(keys.VOICES)
    with pytest.raises(RedisError):
        await pipe.execute()
    await redis.aclose()


async def _is_ready(alice: Client) -> bool:
    return (await alice.http.get("/readyz")).is_success


async def _created(alice: Client) -> dict[str, Any] | None:
    answer = await alice.http.post("/api/projects", json={"text": "Hello."})
    assert answer.status_code in {httpx.codes.CREATED, httpx.codes.SERVICE_UNAVAILABLE}, answer.text
    return dict(answer.json()) if answer.is_success else None


@asynccontextmanager
async def _asking(http: httpx.AsyncClient) -> AsyncIterator[Counter[int]]:
    """Requests of many kinds, again and again, while the context is open; how they were answered."""
    answers: Counter[int] = Counter()

    async def ask(path: str) -> None:
        while True:
            with suppress(httpx.HTTPError):
                answer = await http.get(path)
                answers[answer.status_code] += 1
                assert answer.is_success or "Retry-After" in answer.headers, answer.text
            await asyncio.sleep(0.1)  # so that they do not keep the workers from their work

    tasks = [asyncio.create_task(ask(path)) for path in ("/api/projects", "/api/session", "/api/voices", "/readyz")]
    try:
        yield answers
    finally:
        for task in tasks:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done), done


async def _check_heard_by_the_new_primary(port: int) -> None:
    async with Redis(port=port) as node:

        async def heard() -> bool:
            return keys.channel(USER).encode() in await node.pubsub_shardchannels()

        await until(heard)
