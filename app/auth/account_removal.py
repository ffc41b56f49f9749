"""Removing an account: nobody comes in by it any more, and what was its user's is deleted as its owner would have.

Each step may be done again: where one fails (the storage is away, this process dies) the user stays disabled, and the
command is given once more.
"""

from __future__ import annotations

from redis.asyncio import Redis

from app.auth.accounts import Accounts
from app.auth.disabled_users import DisabledUsers
from app.auth.sessions import Sessions
from app.core.errors import NotFound
from app.core.projects.service import Projects
from app.core.redis import keys
from app.core.redis.client import names
from app.core.storage import paths
from app.core.storage.object_store import Storage


class AccountRemoval:
    """Removes users with all that is theirs."""

    def __init__(
        self, redis: Redis, store: Storage, projects: Projects, accounts: Accounts, sessions: Sessions
    ) -> None:
        self._redis = redis
        self._store = store
        self._projects = projects
        self._accounts = accounts
        self._sessions = sessions
        self._access = DisabledUsers(redis)

    async def projects_of(self, user: str) -> int:
        """How many projects would be deleted. Raises NotFound where there is neither an account nor anything else."""
        found = len(await self._projects.all(user))
        if not found and not await self._accounts.has(user) and not await self._access.disabled(user):
            raise NotFound("There is nobody of that name.")
        return found

    async def remove(self, user: str) -> None:
        """Raises Unavailable, RedisError: then it is to be done again."""
        await self._access.disable(user)
        await self._accounts.remove(user)
        await self._sessions.end_all(user)
        for project in await self._projects.all(user):
            await self._projects.delete(user, project.id)
        for prefix in paths.user_prefixes(user):
            await self._store.delete_all(prefix)
        await self._forget(user)
        # What was issued before stays refused; the name is free for somebody else.
        await self._access.enable(user)

    async def _forget(self, user: str) -> None:
        """What is left in Redis but marks: that credentials have ended, which epochs the log had, what was deleted."""
        kept = {keys.access(user), keys.user(user)}
        async for key in self._redis.scan_iter(match=keys.all_of_user(user), count=1000):
            [name] = names([key])
            if name not in kept and not name.startswith(keys.deleted(user, "")):
                await self._redis.delete(name)
