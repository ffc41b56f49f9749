"""The sweeper clears deleted projects once more, and deletes old segments, surplus segments, unfinished uploads, and
files that no record names."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.errors import Unavailable
from app.core.projects.deletion import ProjectDeletion
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage.object_store import File, Storage
from app.core.storage.paths import SEGMENTS, user_of
from workers.runtime.orphaned_files import OrphanedFiles, Sizes

logger = structlog.get_logger()

_DELETED_EVERY_SECONDS = 5.0
_SEGMENTS_EVERY_SECONDS = 3600
_UNFINISHED_AFTER = timedelta(days=1)
_FILL = 0.9  # of the allowed space, once there was too much, so that not every sweep has to delete
_BATCH = 500


async def sweep_for_ever(
    redis: Redis, deletion: ProjectDeletion, store: Storage, leftovers: OrphanedFiles, settings: Settings
) -> None:
    """Clear deleted projects every few seconds, in every worker; sweep files each hour, in one of them."""
    while True:
        await asyncio.sleep(_DELETED_EVERY_SECONDS * random.uniform(0.8, 1.2))
        try:
            await deletion.sweep()
            if await redis.set(keys.SWEEPING, "1", nx=True, ex=_SEGMENTS_EVERY_SECONDS):
                _, segments = await sweep_segments(store, settings)
                await leftovers.sweep(segments)
                await store.delete_unfinished(datetime.now(UTC) - _UNFINISHED_AFTER)
        except (RedisError, OSError, Unavailable) as error:
            logger.warning("sweeper_waits", error=str(error))


async def sweep_segments(store: Storage, settings: Settings) -> tuple[int, Sizes]:
    """Delete segments older than `segment_days`, then each user's oldest until theirs fit, then the oldest of all.

    Return how many were deleted, and how many bytes each user's projects have left. A chapter that needs one of them
    later voices it again. Raises Unavailable.
    """
    kept = sorted([file async for file in store.files(SEGMENTS)], key=lambda file: file.modified)
    going = _too_old(kept, settings.segment_days)
    left = kept[len(going) :]
    for bound in (
        partial(_by_user, space=settings.max_segment_bytes_per_user),
        partial(_too_many, space=settings.max_segment_bytes),
    ):
        gone = set(bound(left))
        going += [file for file in left if file in gone]
        left = [file for file in left if file not in gone]
    for start in range(0, len(going), _BATCH):
        await store.delete([file.path for file in going[start : start + _BATCH]])
    if going:
        logger.info("segments_swept", count=len(going), bytes=sum(file.size for file in going))
    return len(going), _sizes(left)


def _by_user(files: list[File], space: int) -> list[File]:
    """Return the oldest segments of each user that must be deleted so that the others fit."""
    found: dict[str, list[File]] = {}
    for file in files:
        found.setdefault(file.path.split("/")[1], []).append(file)
    return [file for own in found.values() for file in _too_many(own, space)]


def _sizes(files: list[File]) -> Sizes:
    sizes: Sizes = Counter()
    for file in files:
        _, owner, project, *_ = file.path.split("/")
        sizes[user_of(owner) or "", project] += file.size
    return sizes


def _too_old(files: list[File], days: float) -> list[File]:
    since = datetime.now(UTC) - timedelta(days=days)
    return [file for file in files if file.modified < since]


def _too_many(files: list[File], space: int) -> list[File]:
    """Return the first of `files`, sorted by age, that must be deleted so that the others fit with some room to
    spare."""
    left = sum(file.size for file in files)
    if left <= space:
        return []
    for number, file in enumerate(files):
        if left <= space * _FILL:
            return files[:number]
        left -= file.size
    return files
