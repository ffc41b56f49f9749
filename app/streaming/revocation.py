"""Ends streams and polls at once when the credential that opened them is revoked, in whichever process that happens.

Flows:

- *told*: a message on the control channel names a sign-in, or a user. Where it is a sign-in, all streams of its user
  end: its own for good, the others with `goodbye`, for whoever still has a credential that holds to come back. Where
  it is a user, the streams are looked up.
- *gap*: a subscription that is made anew may have missed a message: every stream is looked up, many in one round trip.
- *key*: a key of ours was removed from its file. Every stream that a token signed with it has opened ends.
- *between*: whatever was told after a credential was checked and before its stream is held, is looked up as well.
- *Redis away*: looking up waits; nothing can be delivered meanwhile, and nobody new is let in.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice

import structlog
from redis.exceptions import RedisError

from app.auth.credential import Credential, Identity
from app.auth.disabled_users import DisabledUsers
from app.auth.keyring import Keyring
from app.core.aio import cancel_and_wait
from app.core.errors import Unauthenticated
from app.core.redis import keys
from app.core.redis.pubsub import Listener
from app.streaming.hub import Hub

logger = structlog.get_logger()

_BATCH = 200
_KEYS_SECONDS = 0.5
_REMEMBERED_SECONDS = 60.0
_MAX_REMEMBERED = 10_000


class StreamCredential:
    """The credential of one stream, which ends when it is `revoked`; with `must_reconnect` its client connects anew."""

    __slots__ = ("credential", "must_reconnect", "revoked")

    def __init__(self, credential: Credential) -> None:
        self.credential = credential
        self.must_reconnect = False
        self.revoked = False

    def check(self) -> None:
        """Raise Unauthenticated (`signed_out`) if it is revoked."""
        if self.revoked:
            raise Unauthenticated("You are signed out; sign in again.", code="signed_out")


class CredentialWatcher(Listener):
    """The credentials of all streams and polls of this process."""

    def __init__(self, access: DisabledUsers, hub: Hub) -> None:
        self._access = access
        self._hub = hub
        self._leases: defaultdict[str, set[StreamCredential]] = defaultdict(set)
        self._told: dict[str, float] = {}
        self._gap = time.monotonic()
        self._suspects: set[StreamCredential] = set()
        self._looking: asyncio.Task[None] | None = None
        hub.listen(keys.CONTROL, self)

    def hold(self, identity: Identity) -> StreamCredential:
        """Watch the credential of a stream, until `release`."""
        user, lease = identity.user, StreamCredential(identity.credential)
        self._leases[user].add(lease)
        if max(self._gap, self._told.get(user, 0.0)) >= identity.checked:
            self._recheck_soon([lease])
        return lease

    def release(self, lease: StreamCredential) -> None:
        user = lease.credential.user
        self._suspects.discard(lease)
        self._leases[user].discard(lease)
        if not self._leases[user]:
            del self._leases[user]

    @contextmanager
    def held(self, identity: Identity) -> Iterator[StreamCredential]:
        """Watch the credential of a stream within the context."""
        lease = self.hold(identity)
        try:
            yield lease
        finally:
            self.release(lease)

    @asynccontextmanager
    async def watching(self, keyring: Keyring) -> AsyncIterator[None]:
        """End streams of credentials that a removed key has signed, within the context."""
        watching = asyncio.create_task(self._watch(keyring)) if keyring.changes else None
        try:
            yield
        finally:
            if watching is not None:
                await cancel_and_wait(watching)

    def on_message(self, channel: bytes, message: bytes) -> None:
        """Handle a message that one credential, or all of a user's, were revoked."""
        try:
            told = json.loads(message)
            user, session = told["user"], told["session"]
        except (ValueError, TypeError, KeyError):
            # Not a message of ours; it must not end the connection that all events use.
            logger.warning("control_not_understood")
            return
        self._remember(user)
        leases = self._leases.get(user, ())
        if session is None:
            self._recheck_soon(leases)
        else:
            for lease in leases:
                lease.must_reconnect = True
            self._end([lease for lease in leases if lease.credential.session == session])
            self._hub.interrupt_user(user)

    def on_subscribed(self, channel: bytes) -> None:
        """Recheck all credentials: a message may have been missed."""
        self._gap = time.monotonic()
        self._recheck_soon([lease for leases in self._leases.values() for lease in leases])

    async def close(self) -> None:
        if self._looking is not None:
            await cancel_and_wait(self._looking)

    async def _watch(self, keyring: Keyring) -> None:
        while True:
            await asyncio.sleep(_KEYS_SECONDS)
            # All of them each time: a stream may begin with a token that was verified before the key was removed.
            held = {own.id for own in keyring.all()} | {None}
            self._end([lease for leases in self._leases.values() for lease in leases if self._unsigned(lease, held)])

    @staticmethod
    def _unsigned(lease: StreamCredential, held: set[str | None]) -> bool:
        return lease.credential.key not in held and not lease.revoked

    def _remember(self, user: str) -> None:
        """Remember the revocation for as long as a request may take from its check to its stream."""
        now = time.monotonic()
        self._told[user] = now
        if len(self._told) > _MAX_REMEMBERED:
            self._told = {user: at for user, at in self._told.items() if now - at < _REMEMBERED_SECONDS}

    def _recheck_soon(self, leases: Iterable[StreamCredential]) -> None:
        self._suspects.update(leases)
        if self._suspects and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._recheck())

    async def _recheck(self) -> None:
        while self._suspects:
            batch = list(islice(self._suspects, _BATCH))
            # A message that comes while they are looked up has them rechecked again.
            self._suspects.difference_update(batch)
            try:
                holding = await self._access.holding([lease.credential for lease in batch])
            except (RedisError, OSError):
                self._suspects.update(lease for lease in batch if lease in self._leases.get(lease.credential.user, ()))
                await asyncio.sleep(random.uniform(0.1, 1.0))
                continue
            self._end([lease for lease, holds in zip(batch, holding, strict=True) if not holds])

    def _end(self, leases: Iterable[StreamCredential]) -> None:
        users = set()
        for lease in leases:
            lease.revoked = True
            users.add(lease.credential.user)
        for user in users:
            logger.info("streams_ended", user=user)
            self._hub.interrupt_user(user)
