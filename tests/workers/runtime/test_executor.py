"""Actors run on the worker's event loop, whoever brings their messages; what is under way when a worker leaves is for
others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, Middleware
from redis.asyncio import Redis

from app.core.jobs.broker import ACTORS, AsyncRedisBroker, WorkQueue
from app.core.redis import keys
from app.core.settings import Settings
from app.core.vocabulary import NARRATION
from tests.support import PATIENCE_SECONDS, until
from workers.runtime.fair_scheduler import current_slot
from workers.runtime.rabbitmq_consumer import RabbitmqConsumerMiddleware
from workers.runtime.redis_consumer import RedisConsumerMiddleware

LOOK_MS = 250
QUEUE = f"{keys.QUEUE_NAMESPACE}:{NARRATION}"

Act = Callable[[str], Awaitable[None]]


Work = Callable[..., AbstractAsyncContextManager[dramatiq.Worker]]


@pytest.fixture(params=["fetched", "delivered"])
def worker(request: pytest.FixtureRequest, settings: Settings) -> Work:
    """A worker that does `act` with each job's id, at most so many at once; it leaves at the end."""

    @asynccontextmanager
    async def working(act: Act, at_once: int, patience: float = 4.0) -> AsyncIterator[dramatiq.Worker]:
        broker, taking = ways[request.param](settings, at_once, patience)
        for middleware in (AsyncIO(), taking):
            broker.add_middleware(middleware)

        @dramatiq.actor(actor_name=ACTORS[NARRATION], queue_name=NARRATION, broker=broker)
        async def narrate(user: str, job: str) -> None:
            await act(job)

        found = dramatiq.Worker(broker, worker_timeout=LOOK_MS)
        found.start()
        try:
            yield found
        finally:
            await asyncio.to_thread(found.stop, 5000)
            broker.close()

    ways = {"fetched": _fetched, "delivered": _delivered}
    return working


def _fetched(settings: Settings, at_once: int, patience: float) -> tuple[dramatiq.Broker, Middleware]:
    broker = AsyncRedisBroker(settings.queue)
    return broker, RedisConsumerMiddleware(broker, at_once, patience)


def _delivered(settings: Settings, at_once: int, patience: float) -> tuple[dramatiq.Broker, Middleware]:
    """By Dramatiq's own consumers, as those of RabbitMQ are."""
    broker = RedisBroker(url=settings.queue, middleware=[], namespace=keys.QUEUE_NAMESPACE)  # type: ignore[no-untyped-call] # dramatiq's is untyped
    return broker, RabbitmqConsumerMiddleware(at_once, patience)


async def enqueue(settings: Settings, *jobs: str, user: str = "alice") -> None:
    queue = WorkQueue(settings.queue)
    for job in jobs:
        await queue.enqueue(NARRATION, user, job)
    await queue.aclose()


async def queued(redis: Redis) -> list[str]:
    """The ids of the jobs whose messages wait for a worker, sorted."""
    ids = await redis.lrange(QUEUE, 0, -1)
    messages: list[Any] = await redis.hmget(f"{QUEUE}.msgs", ids) if ids else []
    return sorted(dramatiq.Message.decode(message).args[1] for message in messages)


async def test_worker_that_leaves_does_not_take_what_it_hands_back(
    worker: Work, settings: Settings, redis: Redis
) -> None:
    taken: list[str] = []

    async def hold(job: str) -> None:
        taken.append(job)
        try:
            await asyncio.Event().wait()
        finally:
            await enqueue(settings, job)

    async with worker(hold, at_once=4):
        await enqueue(settings, "j1")
        await until(lambda: taken)
    assert taken == ["j1"]
    assert await queued(redis) == ["j1"]
    assert await redis.hlen(f"{QUEUE}.msgs") == 1


@pytest.mark.parametrize(
    "worker", ["fetched"], indirect=True
)  # Dramatiq's consumer for Redis keeps what it did not bring
async def test_worker_that_leaves_gives_back_each_job_once_whatever_became_of_it(
    worker: Work, settings: Settings, redis: Redis
) -> None:
    jobs = sorted(f"j{number:02d}" for number in range(40))
    done: list[str] = []

    async def do(job: str) -> None:
        try:
            await asyncio.sleep(0.003)
            done.append(job)
        except asyncio.CancelledError:
            await enqueue(settings, job)
            raise

    async with worker(do, at_once=3):
        await enqueue(settings, *jobs)
        await until(lambda: len(done) > 5)
    assert sorted([*done, *await queued(redis)]) == jobs
    # What was done is acknowledged, too.
    assert await redis.hlen(f"{QUEUE}.msgs") == len(jobs) - len(done)


async def test_actor_that_breaks_leaves_its_message_with_the_dead_and_the_next_is_done(
    worker: Work, settings: Settings, redis: Redis
) -> None:
    done: list[str] = []

    async def do(job: str) -> None:
        if job == "broken":
            raise RuntimeError("it broke")
        done.append(job)

    async with worker(do, at_once=1):
        await enqueue(settings, "broken", "j1")
        await until(lambda: done)
    assert await redis.zcard(f"{QUEUE}.XQ") == 1
    assert await redis.hlen(f"{QUEUE}.msgs") == 0


async def test_worker_leaves_although_an_actor_does_not_end(worker: Work, settings: Settings) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def cling(job: str) -> None:
        loop.call_soon_threadsafe(begun.set)
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    async with worker(cling, at_once=1, patience=0.2):
        await enqueue(settings, "j1")
        await begun.wait()
        loop.call_later(0.5, let_go.set)


async def test_no_more_of_a_queue_is_done_at_once_than_is_set(worker: Work, settings: Settings, redis: Redis) -> None:
    free, at_once, most, done = asyncio.Event(), 0, 0, 0
    loop = asyncio.get_running_loop()

    async def hold(job: str) -> None:
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(free.wait(), loop))
        at_once -= 1
        done += 1

    async with worker(hold, at_once=2) as found:
        await enqueue(settings, *(f"j{number}" for number in range(8)))
        await until(lambda: at_once == 2)
        if found.consumers:
            # One that begins anew does not know that two are being worked on, and brings as many once more.
            consumer: Any = found.consumers[NARRATION].consumer
            consumer.queued_message_ids.clear()
            await until(lambda: _left(redis, 4))
        free.set()
        await until(lambda: done == 8)
    assert most == 2


async def test_long_job_gives_way_to_one_of_another_user(worker: Work, settings: Settings, redis: Redis) -> None:
    """Its place is lent: it is not handed back, and what it has done stays."""
    steps, done, free = 0, [], threading.Event()

    async def act(job: str) -> None:
        nonlocal steps
        slot = current_slot()
        assert slot is not None
        while job == "long" and not free.is_set():
            steps += 1
            await slot.checkpoint()
            await asyncio.sleep(0.01)
        done.append(job)

    async with worker(act, at_once=1):
        await enqueue(settings, "long")
        await until(lambda: steps)
        for short in ("j1", "j2"):
            await enqueue(settings, short, user="bob")
            await until(lambda short=short: short in done)
        before = steps
        await until(lambda: steps > before)
        free.set()
        await until(lambda: done == ["j1", "j2", "long"])
    assert await queued(redis) == []


async def test_job_begins_though_a_long_one_of_another_user_never_pauses(worker: Work, settings: Settings) -> None:
    free, done = threading.Event(), []

    async def act(job: str) -> None:
        await _past(free, job)
        done.append(job)

    async with worker(act, at_once=1):
        await enqueue(settings, "long")
        await enqueue(settings, "short", user="bob")
        await until(lambda: done == ["short"])
        free.set()


async def test_job_that_a_worker_has_no_place_for_is_put_back_for_others(
    worker: Work, settings: Settings, redis: Redis
) -> None:
    free, done = threading.Event(), []

    async def act(job: str) -> None:
        await _past(free, job)
        done.append(job)

    async def waits(*jobs: str) -> bool:
        return await queued(redis) == list(jobs)

    async with worker(act, at_once=1):
        await enqueue(settings, "long", "next")
        await until(lambda: waits("next"))
        await until(lambda: waits())  # it is taken beside the long one of the same user …
        await until(lambda: waits("next"))  # … which has all the places that there are
        free.set()
        await until(lambda: done == ["long", "next"])


async def _past(free: threading.Event, job: str) -> None:
    """Returns at once but for the `long` job, which takes until it is free."""
    if job == "long":
        await asyncio.to_thread(free.wait, PATIENCE_SECONDS)


async def _left(redis: Redis, most: int) -> bool:
    return bool(await redis.llen(QUEUE) <= most)


async def test_message_for_an_actor_that_this_worker_does_not_know_is_with_the_dead(
    worker: Work, settings: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def do(job: str) -> None:
        done.append(job)

    async with worker(do, at_once=1):
        with monkeypatch.context() as patched:
            patched.setitem(ACTORS, NARRATION, "of_tomorrow")
            await enqueue(settings, "j1")
        await enqueue(settings, "j2")
        await until(lambda: done)
    assert done == ["j2"]
    assert await redis.zcard(f"{QUEUE}.XQ") == 1
