"""`smartvoice user …`: local accounts from the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth import audit_log
from app.auth.account_removal import AccountRemoval
from app.auth.accounts import Account, Accounts, check_name
from app.auth.disabled_users import DisabledUsers
from app.auth.keyring import Keyring
from app.auth.second_factor import SecondFactor
from app.auth.sessions import Sessions
from app.auth.user_ids import is_outsider, user_id
from app.cli.instance_lock import address_of
from app.core.errors import Unavailable
from app.core.eventlog.log import EventLog
from app.core.jobs.broker import WorkQueue
from app.core.jobs.service import Jobs
from app.core.projects.service import Projects
from app.core.redis.client import connect, prepare
from app.core.settings import Settings
from app.core.storage.object_store import Storage


async def add(settings: Settings, name: str, password: str) -> None:
    """A new account. Raises Problem, which says what is wrong."""
    async with _redis(settings) as redis:
        await Accounts(redis, settings).add(name, password)
    _note("account_added", name)


async def set_password(settings: Settings, name: str, password: str) -> None:
    """Another password for an account, which ends all that its user has come in with. Raises Problem."""
    async with _redis(settings) as redis:
        await Accounts(redis, settings).set_password(name, password)
        await Sessions(redis, settings).end_all(user_id(name))
    _note("password_changed", name)


async def disable(settings: Settings, name: str) -> bool:
    """Lets a user in no more, whatever they come with; whether there is an account of that name. Raises Problem."""
    async with _redis(settings) as redis:
        user = _user(name)
        await DisabledUsers(redis).disable(user)
        await Sessions(redis, settings).end_all(user)
        known = name in {account.name for account in await Accounts(redis, settings).all()}
    _note("account_disabled", name)
    return known


async def enable(settings: Settings, name: str) -> bool:
    """Lets a user in again; False where they might come in all the time. Raises Problem."""
    async with _redis(settings) as redis:
        changed = await DisabledUsers(redis).enable(_user(name))
    _note("account_enabled", name)
    return changed


async def projects_of(settings: Settings, name: str) -> int:
    """How many projects `remove` would delete. Raises Problem."""
    async with _redis(settings) as redis, _removal(settings, redis) as removal:
        return await removal.projects_of(_user(name))


async def remove(settings: Settings, name: str) -> None:
    """Removes a user with all that is theirs. Raises Problem."""
    async with _redis(settings) as redis, _removal(settings, redis) as removal:
        user = _user(name)
        await removal.projects_of(user)
        await removal.remove(user)
    _note("account_removed", name)


async def reset_second_factor(settings: Settings, name: str) -> bool:
    """Lets a user in without a second factor, and ends all that they have come in with; False where there was none.
    Raises Problem."""
    async with _redis(settings) as redis:
        user = _user(name)
        # No key is needed to forget a secret; there may be none on this machine.
        removed = await SecondFactor(redis, Keyring([])).remove(user)
        if removed:
            await DisabledUsers(redis).revoke(user)
            await Sessions(redis, settings).end_all(user)
    if removed:
        _note("second_factor_reset", name)
    return removed


async def all_accounts(settings: Settings) -> list[Account]:
    """All accounts, by name. Raises Problem."""
    async with _redis(settings) as redis:
        return await Accounts(redis, settings).all()


async def link(settings: Settings, name: str) -> str:
    """A link that signs a user in once. Raises Problem."""
    check_name(name)
    async with _redis(settings) as redis:
        token = await Sessions(redis, settings).link(user_id(name))
    _note("link_made", name)
    return f"{address_of(settings)}/signin#link={token}"


@asynccontextmanager
async def _redis(settings: Settings) -> AsyncIterator[Redis]:
    redis = connect(settings.redis)
    try:
        await prepare(redis)
        yield redis
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis cannot be reached at {settings.redis}; is `smartvoice up` running here?") from error
    finally:
        await redis.aclose()


@asynccontextmanager
async def _removal(settings: Settings, redis: Redis) -> AsyncIterator[AccountRemoval]:
    queue, store = WorkQueue(settings.queue), Storage.of(settings)
    projects = Projects(redis, store, Jobs(redis, EventLog(redis, settings), settings, queue), settings)
    try:
        yield AccountRemoval(redis, store, projects, Accounts(redis, settings), Sessions(redis, settings))
    finally:
        await queue.aclose()


def _user(name: str) -> str:
    """The id of a user by their name; of one whom another issuer vouches for by the id itself, as the log has it."""
    if is_outsider(name):
        return name
    check_name(name)
    return user_id(name)


def _note(event: str, name: str) -> None:
    audit_log.record(event, audit_log.COMMAND_LINE, user=name)
