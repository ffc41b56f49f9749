"""How many jobs of each queue all workers do at once: each worker announces its own number, everybody reads the sum."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.resources import files

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.aio import cancel_and_wait
from app.core.ids import new_id
from app.core.redis import keys
from app.core.settings import Settings
from app.core.vocabulary import NARRATION, Queue

logger = structlog.get_logger()

_CAPACITY = files("app.core.eventlog").joinpath("lua/worker_capacity.lua").read_text()
_EVERY_SECONDS = 2.0
_LIFETIME_MS = 12_000
_START_SECONDS = 1.0


class WorkerCapacity:
    """What one process knows of the capacity of all workers.

    Args:
        places: jobs of each queue that this process does at once; 0 if it is not a worker.
    """

    def __init__(self, redis: Redis, settings: Settings, places: int = 0) -> None:
        self._settings = settings
        self._redis = redis
        self._script = redis.register_script(_CAPACITY)
        self._announced = f"{new_id()} {places}" if places else ""
        self._places = 0

    @property
    def places(self) -> int:
        """The places of all workers; until they are known, those of one machine by the settings."""
        return self._places or self._settings.places

    def share(self, queue: Queue) -> int:
        """Return how many jobs of a queue one user may have with the workers at once; the others wait."""
        set_by_operator = self._settings.narrations_per_user if queue == NARRATION else 0
        return set_by_operator or self.places

    async def refresh(self) -> int:
        """Announce this process' own places, if any, and return those of all. Raises RedisError, OSError."""
        self._places = int(await self._script(keys=[keys.WORKERS], args=[self._announced, _LIFETIME_MS]))
        return self._places

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the number right within the context. Redis need not be up yet."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                await self.refresh()
        task = asyncio.create_task(self._refresh_for_ever())
        try:
            yield
        finally:
            await cancel_and_wait(task)
            if self._announced:
                with suppress(RedisError, OSError):
                    await self._redis.zrem(keys.WORKERS, self._announced)

    async def _refresh_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.refresh()
            except (RedisError, OSError) as error:
                logger.debug("capacity_unknown", error=str(error))
