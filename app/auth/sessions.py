"""Sign-ins of browsers: a random cookie, of which only a digest is kept, and links that sign in once."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.auth.disabled_users import DisabledUsers
from app.auth.user_ids import is_outsider, issued_by
from app.core.errors import NotFound, Unauthenticated
from app.core.json_model import compact
from app.core.redis import keys
from app.core.redis.client import names
from app.core.settings import Settings

_MAX_COUNT = 100
_COARSE_SECONDS = 600.0
_MAX_AGENT = 200
_ID_LENGTH = 20


@dataclass(frozen=True)
class Session:
    """One sign-in; times in Unix time, `used` within ten minutes.

    Args:
        digest: of the cookie.
        agent: what the browser calls itself, in short.
        address: where it was last used from, as of then.
        hint: the provider's token for signing out there too, where one signed in there; sealed with the cookie.
    """

    digest: str
    user: str
    name: str
    created: float
    used: float
    expires: float
    agent: str = ""
    hint: str = ""
    address: str = ""

    @property
    def id(self) -> str:
        """What it is called in the API; it tells nothing of the cookie."""
        return self.digest[:_ID_LENGTH]


class Sessions:
    """The sessions of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings
        self._access = DisabledUsers(redis)

    @property
    def seconds(self) -> int:
        """For how long a sign-in lasts."""
        return int(self._settings.session_hours * 3600)

    async def start(
        self,
        user: str,
        *,
        name: str | None = None,
        agent: str = "",
        token: str = "",
        hint: str = "",
        address: str = "",
    ) -> str:
        """A new sign-in; the cookie for it: `token`, or one that is made here."""
        token, now = token or secrets.token_urlsafe(32), time.time()
        times = (now, now, now + self.seconds)
        session = Session(keys.digest(token), user, name or user, *times, _short(agent), hint, address)
        await self._redis.set(keys.session(session.digest), compact(asdict(session)), ex=self.seconds)
        await self._list(session)
        return token

    async def find(self, token: str, address: str = "") -> Session:
        """The session of a cookie, used now from `address`. Raises Unauthenticated (`signed_out`,
        `account_disabled`)."""
        session = await self._get(keys.digest(token))
        if session is None or not self._vouched(session):
            raise Unauthenticated("You are signed out; sign in again.", code="signed_out")
        await self._access.check(session.user, session.created)
        await self._touch(session, address)
        return session

    async def all(self, user: str) -> list[Session]:
        """The user's sign-ins that have not ended, newest first."""
        digests = names(await self._redis.zrange(keys.sessions(user), 0, -1, desc=True))
        found = [await self._get(digest) for digest in digests]
        return [session for session in found if session is not None]

    async def end(self, token: str) -> Session | None:
        """Signs the browser with this cookie out; the session that it was."""
        session = await self._get(keys.digest(token))
        if session is not None:
            await self._end(session)
        return session

    async def end_one(self, user: str, id: str) -> Session:
        """Signs one of the user's browsers out. Raises NotFound."""
        for digest in names(await self._redis.zrange(keys.sessions(user), 0, -1)):
            if digest[:_ID_LENGTH] == id and (session := await self._get(digest)):
                await self._end(session)
                return session
        raise NotFound("There is no such session.")

    async def end_others(self, user: str, present: str | None) -> int:
        """Signs all of the user's browsers out but the one whose cookie has the digest `present`; how many."""
        others = [session for session in await self.all(user) if session.digest != present]
        for session in others:
            await self._end(session)
        return len(others)

    async def end_all(self, user: str) -> None:
        """Forgets all sign-ins of a user, whose credentials were revoked."""
        for digest in names(await self._redis.zrange(keys.sessions(user), 0, -1)):
            await self._redis.delete(keys.session(digest))
        await self._redis.delete(keys.sessions(user))

    async def link(self, user: str) -> str:
        """A token that signs `user` in once, within `link_minutes`."""
        token = secrets.token_urlsafe(24)
        made = f"{time.time()!r} {user}"
        await self._redis.set(keys.link(token), made, ex=int(self._settings.link_minutes * 60))
        return token

    async def redeem(self, token: str) -> None:
        """Spend a link. Raises Unauthenticated (`link_used`) where somebody else was quicker."""
        if not await self._redis.delete(keys.link(token)):
            raise _link_used()

    async def whom(self, token: str) -> str:
        """Whom a link signs in, once it is redeemed. Raises Unauthenticated (`link_used`, `account_disabled`)."""
        kept = await self._redis.get(keys.link(token))
        made, _, user = (kept.decode() if isinstance(kept, bytes) else "").partition(" ")
        if not user:
            raise _link_used()
        try:
            await self._access.check(user, float(made))
        except Unauthenticated as error:
            # A link that was made before all was revoked is no way around that.
            raise _link_used() if error.code == "signed_out" else error from error
        return user

    async def _get(self, digest: str) -> Session | None:
        kept = await self._redis.get(keys.session(digest))
        if kept is None:
            return None
        # Of another version it may say more.
        return Session(**{name: value for name, value in json.loads(kept).items() if name in _FIELDS})

    def _vouched(self, session: Session) -> bool:
        """False where the provider that vouched for the user is no longer in the settings."""
        return not is_outsider(session.user) or issued_by(session.user, self._settings.oidc_issuer)

    async def _end(self, session: Session) -> None:
        await self._redis.delete(keys.session(session.digest))
        await self._redis.zrem(keys.sessions(session.user), session.digest)
        await self._access.ended(session.user, session.digest)

    async def _list(self, session: Session) -> None:
        """A user has so many sign-ins at most; the one that ends first makes room."""
        listed = keys.sessions(session.user)
        await self._redis.zremrangebyscore(listed, "-inf", session.created)
        await self._redis.zadd(listed, {session.digest: session.expires})
        for digest in names(await self._redis.zrange(listed, 0, -_MAX_COUNT - 1)):
            if oldest := await self._get(digest):
                await self._end(oldest)

    async def _touch(self, session: Session, address: str) -> None:
        """Notes that it is used, now and then; where that cannot be, it is used all the same."""
        now = time.time()
        if now - session.used < _COARSE_SECONDS:
            return
        used = compact(asdict(replace(session, used=now, address=address or session.address)))
        # Only if it is still there: a session that has ended meanwhile stays ended.
        with suppress(RedisError, OSError):
            await self._redis.set(keys.session(session.digest), used, xx=True, keepttl=True)


_FIELDS = {field.name for field in fields(Session)}


def _link_used() -> Unauthenticated:
    return Unauthenticated("This sign-in link was used already, or is too old.", code="link_used")


def _short(agent: str) -> str:
    return "".join(char for char in agent if char.isprintable())[:_MAX_AGENT]
