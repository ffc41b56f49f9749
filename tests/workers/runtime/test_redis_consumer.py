"""Messages are fetched when somebody rings; what is not heard is found all the same, and what is lost on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dramatiq import MessageProxy
from redis.asyncio import Redis

from app.core.aio import cancel_and_wait
from app.core.jobs.broker import AsyncRedisBroker, WorkQueue
from app.core.redis import keys
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests.faults.proxy import Moment, RedisProxy
from tests.stack import free_port
from tests.support import until
from workers.runtime import redis_consumer
from workers.runtime.redis_consumer import QueueConsumer, QueueNotifier, RedisConsumerMiddleware

QUEUE = f"{keys.QUEUE_NAMESPACE}:{NARRATION}"
NEVER = 3600.0


class Worker:
    """A queue's intake, and the jobs that it brought, in order."""

    def __init__(self, url: str, at_once: int = 1) -> None:
        self.taken: list[MessageProxy] = []
        self.broker = AsyncRedisBroker(url)
        self.bell = QueueNotifier(url)
        self.intake = QueueConsumer(self.broker, NARRATION, at_once, self.bell, self.taken.append)

    @property
    def jobs(self) -> list[str]:
        return [message.args[1] for message in self.taken]


@asynccontextmanager
async def worker(url: str, at_once: int = 1) -> AsyncIterator[Worker]:
    found = Worker(url, at_once)
    found.bell.open()
    task = asyncio.create_task(found.intake.run())
    try:
        yield found
    finally:
        await cancel_and_wait(task)
        await found.bell.aclose()
        await found.broker.aclose()


async def enqueue(url: str, *jobs: str, notify: bool = True) -> None:
    queue = WorkQueue(url)
    for job in jobs:
        await queue.enqueue(NARRATION, "alice", job, notify=notify)
    await queue.aclose()


async def heard(redis: Redis) -> bool:
    return dict(await redis.pubsub_numsub(keys.ENQUEUED))[keys.ENQUEUED.encode()] > 0


@pytest.fixture
def deaf_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is notified does not look by itself."""
    monkeypatch.setattr(redis_consumer, "_FIRST_PAUSE", NEVER)
    monkeypatch.setattr(redis_consumer, "_MAX_PAUSE", NEVER)


@pytest.mark.usefixtures("deaf_to_time")
async def test_message_is_fetched_when_it_is_sent(settings: Settings, redis: Redis) -> None:
    async with worker(settings.queue) as found:
        await until(lambda: heard(redis))
        await enqueue(settings.queue, "j1")
        await until(lambda: found.jobs == ["j1"])


async def test_message_that_nobody_rang_for_is_found(settings: Settings, redis: Redis) -> None:
    async with worker(settings.queue) as found:
        await until(lambda: heard(redis))
        await enqueue(settings.queue, "j1", notify=False)
        await until(lambda: found.jobs == ["j1"])


@pytest.mark.usefixtures("deaf_to_time")
async def test_worker_that_leaves_wakes_others_for_what_it_would_have_looked_for(
    settings: Settings, redis: Redis
) -> None:
    leaving = Worker(settings.queue)
    await leaving.broker.load()
    async with worker(settings.queue) as found:
        await until(lambda: heard(redis))
        await until(lambda: found.intake._waiter is not None)
        await enqueue(settings.queue, "j1", notify=False)
        await leaving.intake.close()
        await until(lambda: found.jobs == ["j1"])
    await leaving.broker.aclose()


@pytest.mark.usefixtures("deaf_to_time")
async def test_bell_is_heard_again_after_its_connection_was_cut(settings: Settings, redis: Redis) -> None:
    async with worker(settings.queue) as found:
        await until(lambda: heard(redis))
        await redis.client_kill_filter(_type="pubsub")
        await until(lambda: heard(redis))
        await enqueue(settings.queue, "j1")
        await until(lambda: found.jobs == ["j1"])


@pytest.mark.usefixtures("deaf_to_time")
async def test_end_of_a_job_makes_room_for_the_next_at_once(settings: Settings) -> None:
    await enqueue(settings.queue, "j1", "j2")
    async with worker(settings.queue) as found:
        await until(lambda: found.jobs == ["j1"])
        found.intake.tell("ack", found.taken[0])
        await until(lambda: found.jobs == ["j1", "j2"])


async def test_what_ended_while_the_broker_was_away_is_told_when_it_is_back(
    settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(settings.queue, "j1", "j2", "j3")
    async with worker(settings.queue, at_once=3) as found:
        await until(lambda: len(found.jobs) == 3)
        async with connect(f"redis://127.0.0.1:{free_port()}") as away:
            with monkeypatch.context() as patched:
                patched.setattr(found.broker, "redis", away)
                found.intake.tell("ack", found.taken[0])
                found.intake.tell("nack", found.taken[1])
                await until(lambda: found.intake._needs_reconcile)
                found.intake.tell("ack", found.taken[2])
            assert await redis.hlen(f"{QUEUE}.msgs") == 3
        await until(lambda: _nothing_held(redis))
    assert await redis.zcard(f"{QUEUE}.XQ") == 1


async def _nothing_held(redis: Redis) -> bool:
    return not await redis.hlen(f"{QUEUE}.msgs")


@pytest.mark.parametrize("moment", ["request", "answered"])
async def test_messages_that_were_fetched_and_never_arrived_are_fetched_again(
    settings: Settings, redis: Redis, moment: Moment
) -> None:
    await enqueue(settings.queue, "j1", "j2", "j3")
    async with RedisProxy(Path(settings.queue.removeprefix("unix://"))) as proxy:
        proxy.once(b"fetch", moment)
        async with worker(proxy.url, at_once=3) as found:
            await until(lambda: len(found.jobs) == 3)
            # While the worker has them nobody else gets them.
            for one in found.taken:
                found.intake.tell("ack", one)
            await until(lambda: _nothing_held(redis))
    assert sorted(found.jobs) == ["j1", "j2", "j3"]
    assert proxy.sprung == 1


async def test_worker_that_closes_gives_back_what_never_arrived(settings: Settings, redis: Redis) -> None:
    await enqueue(settings.queue, "j1", "j2")
    async with RedisProxy(Path(settings.queue.removeprefix("unix://"))) as proxy:
        found = Worker(proxy.url, at_once=2)
        await found.broker.load()
        proxy.once(b"fetch", "answered")
        task = asyncio.create_task(found.intake.run())
        await until(lambda: proxy.sprung)
        await cancel_and_wait(task)
        assert await redis.llen(QUEUE) == 0
        await found.intake.close()
        assert await redis.llen(QUEUE) == 2
        await found.broker.aclose()


async def test_server_that_lost_its_scripts_is_given_them_again(settings: Settings, redis: Redis) -> None:
    await enqueue(settings.queue, "j1")
    async with worker(settings.queue, at_once=2) as found:
        await until(lambda: found.jobs == ["j1"])
        await redis.script_flush()
        found.intake.tell("ack", found.taken[0])
        await until(lambda: _nothing_held(redis))
        await redis.script_flush()
        await enqueue(settings.queue, "j2")
        await until(lambda: found.jobs == ["j1", "j2"])


async def test_messages_of_a_worker_that_fell_silent_are_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.jobs.broker._SILENT_MS", 300)
    await enqueue(settings.queue, "j1")
    async with worker(settings.queue) as silent:
        await until(lambda: silent.jobs == ["j1"])
    async with worker(settings.queue) as other:
        await until(lambda: other.jobs == ["j1"])


@pytest.mark.parametrize("data", ["no message", "[]", '{"of": "something else"}'])
async def test_message_that_cannot_be_read_does_not_keep_the_next_from_being_done(
    settings: Settings, redis: Redis, data: str
) -> None:
    await redis.hset(f"{QUEUE}.msgs", "m0", data)
    await redis.rpush(QUEUE, "m0", "of nothing")
    await enqueue(settings.queue, "j1")
    async with worker(settings.queue, at_once=3) as found:
        await until(lambda: found.jobs == ["j1"])


async def test_worker_goes_on_after_what_nobody_thought_of(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    broke = 0

    def breaks(*_: object, **more: object) -> None:
        nonlocal broke
        broke += 1
        raise RuntimeError("nobody thought of it")

    async with worker(settings.queue) as found:
        with monkeypatch.context() as patched:
            patched.setattr(found.broker, "command", breaks)
            await until(lambda: broke)
        await enqueue(settings.queue, "j1")
        await until(lambda: found.jobs == ["j1"])


async def test_message_is_put_in_though_the_connection_breaks_meanwhile(settings: Settings, redis: Redis) -> None:
    async with RedisProxy(Path(settings.queue.removeprefix("unix://"))) as proxy:
        proxy.once(b"enqueue", "request")
        await enqueue(proxy.url, "j1")
        assert proxy.sprung == 1
    assert await redis.llen(QUEUE) == 1


async def test_worker_that_asks_for_no_more_jobs_says_so() -> None:
    taking = RedisConsumerMiddleware(AsyncRedisBroker("unix:///nowhere/redis.sock"), 1)
    await taking._open()
    try:
        assert taking.fault() == ""
        for intake in taking._consumers.values():
            intake._asked -= 20
        assert taking.fault() == "it asks for no jobs of text-parsing, audio-generation, book-assembly"
    finally:
        await taking._close()
    assert taking.fault() == ""  # one that leaves asks no more
