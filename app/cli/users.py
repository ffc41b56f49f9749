"""`smartvoice user …`: local accounts from the command line."""

from __future__ import annotations

from redis.exceptions import RedisError

from app.auth.accounts import Accounts
from app.core.errors import Unavailable
from app.core.redis import connect
from app.core.settings import Settings


async def add(settings: Settings, name: str, password: str) -> None:
    """A new account. Raises Problem, which says what is wrong."""
    redis = connect(settings.redis)
    try:
        await Accounts(redis).add(name, password)
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis cannot be reached at {settings.redis}; is `smartvoice up` running here?") from error
    finally:
        await redis.aclose()
