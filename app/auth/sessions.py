"""Sign-ins of browsers: a random cookie, of which only a digest is kept, and links that sign in once."""

from __future__ import annotations

import json
import secrets
import time
from typing import NamedTuple

from redis.asyncio import Redis
from starlette.responses import Response

from app.core import keys
from app.core.errors import Unauthenticated
from app.core.models import compact
from app.core.settings import Settings

COOKIE = "smartvoice_session"


class Session(NamedTuple):
    """Who signed in, and until when (Unix time)."""

    user: str
    expires: float


class Sessions:
    """The sessions of all users in one Redis."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    async def start(self, user: str, response: Response) -> None:
        """Signs a browser in: a new session, its cookie on `response`."""
        token = secrets.token_urlsafe(32)
        seconds = int(self._settings.session_hours * 3600)
        session = compact({"user": user, "expires": time.time() + seconds})
        await self._redis.set(keys.session(token), session, ex=seconds)
        secure = self._settings.address.startswith("https://")
        response.set_cookie(COOKIE, token, max_age=seconds, httponly=True, samesite="lax", secure=secure)

    async def find(self, token: str) -> Session:
        """The session of a cookie. Raises Unauthenticated (`signed_out`)."""
        session = await self._redis.get(keys.session(token))
        if session is None:
            raise Unauthenticated("You are signed out; sign in again.", code="signed_out")
        return Session(**json.loads(session))

    async def end(self, token: str, response: Response) -> None:
        """Signs the browser with this cookie out."""
        await self._redis.delete(keys.session(token))
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")

    async def link(self, user: str) -> str:
        """A token that signs `user` in once, within `link_minutes`."""
        token = secrets.token_urlsafe(24)
        await self._redis.set(keys.link(token), user, ex=int(self._settings.link_minutes * 60))
        return token

    async def redeem(self, token: str) -> str:
        """Whom a link signs in; it is spent by this. Raises Unauthenticated (`link_used`)."""
        user = await self._redis.getdel(keys.link(token))
        if not isinstance(user, bytes):
            raise Unauthenticated("This sign-in link was used already, or is too old.", code="link_used")
        return user.decode()
