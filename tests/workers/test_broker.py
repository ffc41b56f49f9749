"""A worker that is told to leave: what it hands back is for others."""

from __future__ import annotations

import asyncio

import dramatiq
from dramatiq.middleware import AsyncIO, ShutdownNotifications
from redis.asyncio import Redis

from app.core import keys
from app.core.messages import NARRATION
from app.core.queue import ACTORS, WorkQueue
from app.core.settings import Settings
from tests.support import until
from workers.broker import TakeNoMore
from workers.doorbell import WokenBroker

LOOK_MS = 250


async def test_worker_that_leaves_does_not_take_what_it_hands_back(settings: Settings, redis: Redis) -> None:
    broker = WokenBroker(bell=settings.queue, url=settings.queue, middleware=[], namespace=keys.QUEUE_NAMESPACE)
    for middleware in (TakeNoMore(), ShutdownNotifications(notify_shutdown=True), AsyncIO()):
        broker.add_middleware(middleware)
    taken: list[str] = []

    @dramatiq.actor(actor_name=ACTORS[NARRATION], queue_name=NARRATION, broker=broker)
    async def narrate(user: str, job: str) -> None:
        taken.append(job)
        try:
            await asyncio.Event().wait()
        finally:
            queue = WorkQueue(settings.queue)
            await queue.enqueue(NARRATION, user, job)
            await queue.aclose()

    worker = dramatiq.Worker(broker, worker_timeout=LOOK_MS, worker_threads=4)
    worker.start()
    queue = WorkQueue(settings.queue)
    await queue.enqueue(NARRATION, "alice", "j1")
    await queue.aclose()
    await until(lambda: taken)
    await asyncio.to_thread(worker.stop, 5000)
    broker.close()
    assert taken == ["j1"]
    assert await redis.llen(f"{keys.QUEUE_NAMESPACE}:{NARRATION}") == 1
