"""The sweeper: deleted projects are cleared once more; segments that are old or too many, and uploads that were never
finished, make room."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core import keys
from app.core.deletion import Deletion
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.core.storage import SEGMENTS, File, Storage

logger = structlog.get_logger()

_DELETED_EVERY_SECONDS = 5.0
_SEGMENTS_EVERY_SECONDS = 3600
_UNFINISHED_AFTER = timedelta(days=1)
_FILL = 0.9  # of the space that is allowed, once there was too much: so that not every sweep has to delete
_BATCH = 500


async def sweep_for_ever(redis: Redis, deletion: Deletion, store: Storage, settings: Settings) -> None:
    """Looks after deleted projects every few seconds, in every worker, and in one of them each hour after files."""
    while True:
        await asyncio.sleep(_DELETED_EVERY_SECONDS * random.uniform(0.8, 1.2))
        try:
            await deletion.sweep()
            if await redis.set(keys.SWEEPING, "1", nx=True, ex=_SEGMENTS_EVERY_SECONDS):
                await sweep_segments(store, settings)
                await store.delete_unfinished(datetime.now(UTC) - _UNFINISHED_AFTER)
        except (RedisError, OSError, Unavailable) as error:
            logger.warning("sweeper_waits", error=str(error))


async def sweep_segments(store: Storage, settings: Settings) -> int:
    """Deletes segments older than `segment_days`, then the oldest until all fit; how many. Raises Unavailable.

    A chapter that needs one of them later has it voiced anew.
    """
    kept = sorted([file async for file in store.files(SEGMENTS)], key=lambda file: file.modified)
    going = _too_old(kept, settings.segment_days)
    going += _too_many(kept[len(going) :], settings.max_segment_bytes)
    for start in range(0, len(going), _BATCH):
        await store.delete([file.path for file in going[start : start + _BATCH]])
    if going:
        logger.info("segments_swept", count=len(going), bytes=sum(file.size for file in going))
    return len(going)


def _too_old(files: list[File], days: float) -> list[File]:
    since = datetime.now(UTC) - timedelta(days=days)
    return [file for file in files if file.modified < since]


def _too_many(files: list[File], space: int) -> list[File]:
    """The oldest of `files`, which come oldest first, that must go for the others to fit with some room to spare."""
    left = sum(file.size for file in files)
    if left <= space:
        return []
    for number, file in enumerate(files):
        if left <= space * _FILL:
            return files[:number]
        left -= file.size
    return files
