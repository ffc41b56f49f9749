"""Deleting a project: first it is no more, then what runs for it is ended, then all of it goes, then once more.

Once more, because a worker may have been writing a file at that moment. What fails on the way is finished by a sweep.
"""

from __future__ import annotations

from contextlib import suppress

from redis.asyncio import Redis

from app.core.errors import NotFound
from app.core.jobs.service import Jobs
from app.core.projects.quotas import Quotas
from app.core.redis import keys
from app.core.redis.client import names
from app.core.settings import Settings
from app.core.storage import paths
from app.core.storage.object_store import Storage

# A Redis that is full lets a script go on that has written something which takes no room: what goes comes first.
_LIST = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
"""
# From here on no job can be made for it.
_BEGIN = """
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SET', KEYS[3], '1', 'EX', ARGV[2])
redis.call('ZADD', KEYS[4], redis.call('TIME')[1], ARGV[1])
redis.call('EXPIRE', KEYS[4], ARGV[2])
local prefix = string.sub(KEYS[3], 1, -#ARGV[1] - 1)
for _, old in ipairs(redis.call('ZRANGE', KEYS[4], 0, -tonumber(ARGV[3]) - 1)) do
  redis.call('ZREM', KEYS[4], old)
  redis.call('DEL', prefix .. old)
end
"""
_AGAIN_AFTER_LEASES = 2
_MAX_DUE = 100
_MAX_REMEMBERED = 1000  # deleted projects of a user; of the others nobody knows that they ever were


class ProjectDeletion:
    """Deletes projects of all users."""

    def __init__(self, redis: Redis, store: Storage, jobs: Jobs, settings: Settings) -> None:
        self._redis = redis
        self._store = store
        self._jobs = jobs
        self._settings = settings
        self._list = redis.register_script(_LIST)
        self._begin = redis.register_script(_BEGIN)
        self._usage = Quotas(redis, settings)

    async def delete(self, user: str, project: str) -> None:
        """Deletes a project with its jobs and files. Raises Unavailable, RedisError: a sweep then does the rest."""
        again = await self._now() + self._settings.lease_seconds * _AGAIN_AFTER_LEASES
        await self._list(keys=[keys.DELETED], args=[_name(user, project), again])
        names = [keys.project(user, project), keys.projects(user), keys.deleted(user, project), keys.deletions(user)]
        await self._begin(keys=names, args=[project, int(self._settings.log_days * 86400), _MAX_REMEMBERED])
        await self._clear(user, project)

    async def sweep(self) -> int:
        """Clears projects that were deleted a while ago once more; how many there were. Raises as `delete` does."""
        due = names(await self._redis.zrangebyscore(keys.DELETED, "-inf", await self._now(), 0, _MAX_DUE))
        for name in due:
            user, project = name.split(" ")
            # Without its mark the deletion never began, and the project is there.
            if await self._redis.exists(keys.deleted(user, project)):
                await self._redis.delete(keys.project(user, project))
                await self._redis.zrem(keys.projects(user), project)
                await self._clear(user, project)
            await self._redis.zrem(keys.DELETED, name)
        return len(due)

    async def _clear(self, user: str, project: str) -> None:
        """Ends the jobs of a project that is no more, and removes whatever is left of it. May be done again."""
        jobs = names(await self._redis.smembers(keys.all_project_jobs(user, project)))
        for job in await self._jobs.find_all(user, jobs):
            if job is not None and job.state in {"waiting", "active"}:
                with suppress(NotFound):
                    await self._jobs.cancel(user, job.queue, job.id)
        await self.remove_files(user, project)
        await self._usage.forget(user, project)
        chapters = names(await self._redis.zrange(keys.chapters(user, project), 0, -1))
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in (*(keys.chapter(user, id) for id in chapters), *(keys.job(user, id) for id in jobs)):
                pipe.delete(name)
            pipe.delete(
                keys.chapters(user, project), keys.project_jobs(user, project), keys.all_project_jobs(user, project)
            )
            await pipe.execute()

    async def remove_files(self, user: str, project: str) -> None:
        """Removes the files of a project that is no more. Raises Unavailable."""
        await self._store.delete_all(paths.project_prefix(user, project))
        await self._store.delete_all(paths.segments_prefix(user, project))

    async def _now(self) -> float:
        """Redis' clock, in seconds."""
        seconds, _ = await self._redis.time()
        return float(seconds)


def _name(user: str, project: str) -> str:
    return f"{user} {project}"
