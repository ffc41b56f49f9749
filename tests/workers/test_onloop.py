"""Actors run on the worker's event loop; what is under way when the worker is told to leave is for others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import dramatiq
from dramatiq.middleware import AsyncIO
from redis.asyncio import Redis

from app.core import keys
from app.core.messages import NARRATION
from app.core.queue import ACTORS, WorkQueue
from app.core.settings import Settings
from tests.support import until
from workers.doorbell import WokenBroker
from workers.onloop import OnLoop

LOOK_MS = 250
QUEUE = f"{keys.QUEUE_NAMESPACE}:{NARRATION}"

Act = Callable[[str], Awaitable[None]]


@asynccontextmanager
async def worker(settings: Settings, act: Act, at_once: int, patience: float = 4.0) -> AsyncIterator[dramatiq.Worker]:
    """A worker that does `act` with each job's id; it leaves at the end."""
    broker = WokenBroker(bell=settings.queue, url=settings.queue, middleware=[], namespace=keys.QUEUE_NAMESPACE)
    for middleware in (AsyncIO(), OnLoop(at_once, patience)):
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


async def enqueue(settings: Settings, *jobs: str) -> None:
    queue = WorkQueue(settings.queue)
    for job in jobs:
        await queue.enqueue(NARRATION, "alice", job)
    await queue.aclose()


async def queued(redis: Redis) -> list[str]:
    """The ids of the jobs whose messages wait for a worker, sorted."""
    ids = await redis.lrange(QUEUE, 0, -1)
    messages: list[Any] = await redis.hmget(f"{QUEUE}.msgs", ids) if ids else []
    return sorted(dramatiq.Message.decode(message).args[1] for message in messages)


async def test_worker_that_leaves_does_not_take_what_it_hands_back(settings: Settings, redis: Redis) -> None:
    taken: list[str] = []

    async def hold(job: str) -> None:
        taken.append(job)
        try:
            await asyncio.Event().wait()
        finally:
            await enqueue(settings, job)

    async with worker(settings, hold, at_once=4):
        await enqueue(settings, "j1")
        await until(lambda: taken)
    assert taken == ["j1"]
    assert await queued(redis) == ["j1"]
    assert await redis.hlen(f"{QUEUE}.msgs") == 1


async def test_worker_that_leaves_gives_back_each_job_once_whatever_became_of_it(
    settings: Settings, redis: Redis
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

    async with worker(settings, do, at_once=3):
        await enqueue(settings, *jobs)
        await until(lambda: len(done) > 5)
    assert sorted([*done, *await queued(redis)]) == jobs
    # What was done is acknowledged, too.
    assert await redis.hlen(f"{QUEUE}.msgs") == len(jobs) - len(done)


async def test_no_more_of_a_queue_is_done_at_once_than_is_set_though_more_is_fetched(
    settings: Settings, redis: Redis
) -> None:
    free, at_once, most, done = asyncio.Event(), 0, 0, 0
    loop = asyncio.get_running_loop()

    async def hold(job: str) -> None:
        nonlocal at_once, most, done
        at_once += 1
        most = max(most, at_once)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(free.wait(), loop))
        at_once -= 1
        done += 1

    async with worker(settings, hold, at_once=2) as found:
        await enqueue(settings, *(f"j{number}" for number in range(8)))
        await until(lambda: at_once == 2)
        # It begins anew, and does not know that two are being worked on.
        consumer: Any = found.consumers[NARRATION].consumer
        consumer.queued_message_ids.clear()
        consumer._rung.set()
        await until(lambda: _left(redis, 4))
        free.set()
        await until(lambda: done == 8)
    assert most == 2


async def _left(redis: Redis, most: int) -> bool:
    return bool(await redis.llen(QUEUE) <= most)


async def test_actor_that_breaks_leaves_its_message_with_the_dead_and_the_next_is_done(
    settings: Settings, redis: Redis
) -> None:
    done: list[str] = []

    async def do(job: str) -> None:
        if job == "broken":
            raise RuntimeError("it broke")
        done.append(job)

    async with worker(settings, do, at_once=1):
        await enqueue(settings, "broken", "j1")
        await until(lambda: done)
    assert await redis.zcard(f"{QUEUE}.XQ") == 1
    assert await redis.hlen(f"{QUEUE}.msgs") == 0


async def test_worker_leaves_although_an_actor_does_not_end(settings: Settings) -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def cling(job: str) -> None:
        loop.call_soon_threadsafe(begun.set)
        while not let_go.is_set():
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue

    async with worker(settings, cling, at_once=1, patience=0.2):
        await enqueue(settings, "j1")
        await begun.wait()
        loop.call_later(0.5, let_go.set)
