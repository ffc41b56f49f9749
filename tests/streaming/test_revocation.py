"""Streams that are to end: what is told while others are looked up, while Redis is away, or by nobody we know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisAway

from app.auth.credential import Credential, Identity
from app.auth.disabled_users import DisabledUsers
from app.core.eventlog.log import EventLog
from app.core.redis import keys
from app.core.settings import Settings
from app.streaming.hub import Hub
from app.streaming.revocation import CredentialWatcher
from tests.support import until

CHANNEL = keys.CONTROL.encode()


class SlowAccess(DisabledUsers):
    """Answers what was true when it was asked, as late as it is let."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis)
        self.asked = 0
        self.away = False
        self.may_answer = asyncio.Event()

    async def holding(self, credentials: Sequence[Credential]) -> list[bool]:
        answer = await super().holding(credentials)
        self.asked += 1
        await self.may_answer.wait()
        if self.away:
            raise RedisAway("away")
        return answer


@pytest.fixture
def access(redis: Redis) -> SlowAccess:
    return SlowAccess(redis)


@pytest.fixture
def guard(access: SlowAccess, log: EventLog, settings: Settings) -> CredentialWatcher:
    return CredentialWatcher(access, Hub(log, settings))


def alice() -> Identity:
    return Identity("alice", "alice", 4e9, Credential("alice", 1.0), time.monotonic())


async def test_what_is_told_while_a_stream_is_looked_up_is_looked_up_again(
    guard: CredentialWatcher, access: SlowAccess
) -> None:
    with guard.held(alice()) as lease:
        guard.on_message(CHANNEL, b'{"user":"alice","session":null}')
        await until(lambda: access.asked == 1)
        # The answer that is on its way is from before this.
        await access.revoke("alice")
        guard.on_message(CHANNEL, b'{"user":"alice","session":null}')
        access.may_answer.set()
        await until(lambda: lease.revoked)
    await guard.close()


async def test_what_cannot_be_looked_up_is_tried_again(guard: CredentialWatcher, access: SlowAccess) -> None:
    access.away = True
    access.may_answer.set()
    with guard.held(alice()) as lease:
        await access.revoke("alice")
        guard.on_subscribed(CHANNEL)
        await until(lambda: access.asked == 2)
        assert not lease.revoked
        access.away = False
        await until(lambda: lease.revoked)
    await guard.close()


async def test_credential_that_ended_between_its_check_and_its_stream_is_noticed(
    guard: CredentialWatcher, access: SlowAccess
) -> None:
    access.may_answer.set()
    identity = alice()
    await access.revoke("alice")
    guard.on_message(CHANNEL, b'{"user":"alice","session":null}')
    with guard.held(identity) as lease:
        await until(lambda: lease.revoked)
    await guard.close()


@pytest.mark.parametrize("message", [b"", b"no json", b"[]", b"{}", b'{"user":7,"session":[]}', b"\xff"])
async def test_message_that_makes_no_sense_changes_nothing(
    guard: CredentialWatcher, access: SlowAccess, message: bytes
) -> None:
    access.may_answer.set()
    with guard.held(alice()) as lease:
        guard.on_message(CHANNEL, message)
        guard.on_subscribed(CHANNEL)
        await until(lambda: access.asked)
        assert not lease.revoked
    await guard.close()
