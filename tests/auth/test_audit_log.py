"""The audit log says what happened, and never what somebody came in with."""

from __future__ import annotations

import httpx
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import DisabledUsers
from app.auth.sessions import Sessions
from app.core.settings import Settings


async def test_refusals_are_noted_with_their_reason_and_without_the_credential(
    anyone: httpx.AsyncClient, redis: Redis, settings: Settings
) -> None:
    tokens = Tokens(settings.signing_key())
    expired, revoked, good = tokens.sign("alice", -60), tokens.sign("bob", 60), tokens.sign("alice", 60)
    session = await Sessions(redis, settings).start("alice")
    ended = await Sessions(redis, settings).start("alice")
    await Sessions(redis, settings).end(ended)
    await DisabledUsers(redis).disable("bob")
    ticket = "an invented ticket"
    with capture_logs() as lines:
        for token in (expired, revoked, good):
            await anyone.get("/api/projects", headers={"Authorization": f"Bearer {token}"})
        for cookie in (ended, session):
            await anyone.get("/api/projects", headers={"Cookie": f"smartvoice_session={cookie}"})
        await anyone.get("/api/events", params={"ticket": ticket})
        await anyone.get("/api/events", params={"token": good})
        await anyone.get("/api/projects")
        await anyone.post("/api/session", json={"link": "an invented link"})
    told = [(line["event"], line["reason"]) for line in lines if line.get("logger") == "audit"]
    assert told == [
        ("token_refused", "expired_token: The token is expired"),
        ("credential_refused", "account_disabled"),
        ("credential_refused", "signed_out"),
        ("ticket_refused", "ticket_used"),
        ("credential_refused", "token_in_url"),
        ("sign_in_refused", "link_used"),
    ]
    assert all(line["address"] == "127.0.0.1" for line in lines if line.get("logger") == "audit")
    for secret in (expired, revoked, good, session, ended, ticket, "an invented link", settings.signing_key().decode()):
        assert secret not in str(lines)


async def test_nothing_of_a_strange_token_gets_into_the_log(anyone: httpx.AsyncClient) -> None:
    head = "eyJhbGciOiJzZWNyZXQtYWxnIn0"  # {"alg":"secret-alg"}
    with capture_logs() as lines:
        for token in (f"{head}.c2VjcmV0.c2VjcmV0", "secret", "secret.secret", "s.e.c.r.e.t", head + "." * 2):
            await anyone.get("/api/projects", headers={"Authorization": f"Bearer {token}"})
    assert [line["event"] for line in lines if line.get("logger") == "audit"] == ["token_refused"] * 5
    assert "secret" not in str(lines)
