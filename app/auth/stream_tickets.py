"""Stream tickets: for an EventSource that can send neither a header nor our cookie. Each opens one stream, once, soon.

A ticket holds no longer than what it was got with; it stands in an address, so it is worth nothing afterwards.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable
from typing import NamedTuple

from redis.asyncio import Redis

from app.auth.bearer_tokens import Tokens
from app.auth.credential import Credential, Identity
from app.auth.disabled_users import DisabledUsers
from app.core.errors import Unauthenticated
from app.core.json_model import compact
from app.core.redis import keys
from app.core.settings import Settings


class Ticket(NamedTuple):
    """A ticket, and until when it may be used (Unix time)."""

    token: str
    expires: float


class Tickets:
    """The tickets of all users in one Redis; only digests are kept."""

    def __init__(self, redis: Redis, settings: Settings, tokens: Tokens) -> None:
        self._redis = redis
        self._tokens = tokens
        self._settings = settings
        self._access = DisabledUsers(redis)

    async def issue(self, identity: Identity, projects: Iterable[str]) -> Ticket:
        """A ticket for whoever asks; `projects` narrows what it opens, none means all."""
        token, seconds = secrets.token_urlsafe(32), self._settings.ticket_seconds
        kept = {
            "name": identity.name,
            "expires": identity.expires,
            "credential": identity.credential,
            "projects": sorted(projects),
        }
        await self._redis.set(keys.ticket(token), compact(kept), px=int(seconds * 1000))
        return Ticket(token, min(time.time() + seconds, identity.expires))

    async def redeem(self, token: str) -> Identity:
        """Whom a ticket stands for; it is spent by this. Raises Unauthenticated (`ticket_used`, `signed_out`)."""
        checked = time.monotonic()
        kept = await self._redis.getdel(keys.ticket(token))
        if not isinstance(kept, bytes):
            raise Unauthenticated("This ticket was used already, or is too old; get another.", code="ticket_used")
        found = json.loads(kept)
        credential = Credential(*found["credential"])
        [holds] = await self._access.holding([credential])
        if not holds or found["expires"] <= time.time() or not self._tokens.vouched(credential):
            raise Unauthenticated("What this ticket was got with holds no longer.", code="signed_out")
        projects = frozenset(found["projects"])
        return Identity(credential.user, found["name"], found["expires"], credential, checked, projects)
