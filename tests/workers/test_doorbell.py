"""Workers are woken by whoever enqueues; what is not heard is found all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from dramatiq.errors import ConnectionClosed
from redis.asyncio import Redis

from app.core import keys
from app.core.messages import NARRATION
from app.core.queue import WorkQueue, message
from app.core.sentinel import blocking
from app.core.settings import Settings
from tests.stack import free_port
from tests.support import until
from workers.doorbell import WokenBroker

DEAF_MS = 300


@pytest.fixture
def broker(settings: Settings) -> Iterator[WokenBroker]:
    broker = WokenBroker(bell=settings.queue, url=settings.queue, middleware=[], namespace=keys.QUEUE_NAMESPACE)
    yield broker
    broker.close()


async def heard(redis: Redis) -> bool:
    return dict(await redis.pubsub_numsub(keys.BELL))[keys.BELL.encode()] > 0


async def test_message_is_fetched_when_it_is_sent(broker: WokenBroker, settings: Settings, redis: Redis) -> None:
    consumer = broker.consume(NARRATION, timeout=DEAF_MS)
    queue = WorkQueue(settings.queue)
    await until(lambda: heard(redis))
    for _ in range(12):
        # By now it would sleep for a second, were it not for the bell.
        assert await asyncio.to_thread(next, consumer) is None or pytest.fail("there was no message")
    taken = asyncio.create_task(asyncio.to_thread(next, consumer))
    sent = time.monotonic()
    await queue.enqueue(NARRATION, "alice", "j1")
    found = await taken or await asyncio.to_thread(next, consumer)
    assert found is not None
    assert tuple(found.args) == ("alice", "j1")
    assert time.monotonic() - sent < DEAF_MS / 1000
    await queue.aclose()


async def test_message_that_nobody_rang_for_is_found(broker: WokenBroker, redis: Redis) -> None:
    consumer = broker.consume(NARRATION, timeout=DEAF_MS)
    await until(lambda: heard(redis))
    await asyncio.to_thread(broker.enqueue, message(NARRATION, "alice", "j1"))
    found = None
    async with asyncio.timeout(10):
        while found is None:
            found = await asyncio.to_thread(next, consumer)
    assert tuple(found.args) == ("alice", "j1")


async def test_bell_is_heard_again_after_its_connection_was_cut(
    broker: WokenBroker, settings: Settings, redis: Redis
) -> None:
    consumer = broker.consume(NARRATION, timeout=DEAF_MS)
    await until(lambda: heard(redis))
    await redis.client_kill_filter(_type="pubsub")
    await until(lambda: heard(redis))
    queue = WorkQueue(settings.queue)
    await queue.enqueue(NARRATION, "alice", "j1")
    found = None
    async with asyncio.timeout(10):
        while found is None:
            found = await asyncio.to_thread(next, consumer)
    assert tuple(found.args) == ("alice", "j1")
    await queue.aclose()


async def test_end_of_a_job_makes_room_for_the_next_at_once(
    broker: WokenBroker, settings: Settings, redis: Redis
) -> None:
    consumer = broker.consume(NARRATION, prefetch=1, timeout=DEAF_MS)
    queue = WorkQueue(settings.queue)
    await until(lambda: heard(redis))
    for job in ("j1", "j2"):
        await queue.enqueue(NARRATION, "alice", job)
    first = await until(lambda: asyncio.to_thread(next, consumer))
    waiting = asyncio.create_task(asyncio.to_thread(next, consumer))
    await asyncio.to_thread(consumer.ack, first)
    second = await waiting or await asyncio.to_thread(next, consumer)
    assert second is not None
    assert tuple(second.args) == ("alice", "j2")
    await queue.aclose()


async def test_what_ended_while_the_broker_was_away_is_told_when_it_is_back(
    broker: WokenBroker, settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = WorkQueue(settings.queue)
    for job in ("j1", "j2", "j3"):
        await queue.enqueue(NARRATION, "alice", job)
    await queue.aclose()
    consumer = broker.consume(NARRATION, prefetch=3, timeout=DEAF_MS)
    first, second, third = [await until(lambda: asyncio.to_thread(next, consumer)) for _ in range(3)]
    away = blocking(f"redis://127.0.0.1:{free_port()}", retry=None)
    with monkeypatch.context() as patched:
        patched.setattr(broker, "client", away)
        consumer.ack(first)
        consumer.nack(second)
        with pytest.raises(ConnectionClosed):
            await asyncio.to_thread(next, consumer)
        consumer.ack(third)
        with pytest.raises(ConnectionClosed):
            await asyncio.to_thread(consumer.close)
    held = f"{keys.QUEUE_NAMESPACE}:{NARRATION}"
    assert await redis.hlen(f"{held}.msgs") == 3
    await asyncio.to_thread(broker.consume(NARRATION, timeout=DEAF_MS).close)
    assert await redis.hlen(f"{held}.msgs") == 0
    assert await redis.zcard(f"{held}.XQ") == 1


async def test_server_that_lost_its_scripts_is_given_them_again(
    broker: WokenBroker, settings: Settings, redis: Redis
) -> None:
    consumer = broker.consume(NARRATION, prefetch=2, timeout=DEAF_MS)
    queue = WorkQueue(settings.queue)
    await queue.enqueue(NARRATION, "alice", "j1")
    first = await until(lambda: asyncio.to_thread(next, consumer))
    await queue.enqueue(NARRATION, "alice", "j2")
    await redis.script_flush()
    consumer.ack(first)
    second = await until(lambda: asyncio.to_thread(next, consumer))
    assert tuple(second.args) == ("alice", "j2")
    assert await redis.hlen(f"{keys.QUEUE_NAMESPACE}:{NARRATION}.msgs") == 1
    await queue.aclose()
