"""Bearer tokens: whose hold, whose do not, and whom they stand for."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from pydantic import ValidationError
from redis.asyncio import Redis

from app.auth import jwks, keyring
from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import DisabledUsers
from app.auth.keyring import Keyring
from app.auth.token_issuer import TokenIssuer
from app.auth.user_ids import outsider_id, user_id
from app.core import keyfile
from app.core.errors import Unauthenticated, Unavailable
from app.core.settings import Settings
from tests.auth.issuers import NAME, PublishingIssuer, publishing
from tests.support import until

OWN = "our own key, which nobody else has or can guess"
SHARED = "a secret that the other issuer shares with us"
AUDIENCE = "smartvoice"


@pytest.fixture
async def issuer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PublishingIssuer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with publishing() as issuer:
        yield issuer


@asynccontextmanager
async def verifying(**settings: Any) -> AsyncIterator[Tokens]:
    given = Settings(secret_key=OWN, **settings)
    tokens = Tokens(Keyring.of(given), TokenIssuer.of(given))
    try:
        yield tokens
    finally:
        await tokens.close()


async def refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await tokens.verify(token)
    assert caught.value.code == "bad_token"


def signed(key: str, algorithm: str = "HS256", head: dict[str, Any] | None = None, **claims: Any) -> str:
    given = {"sub": "alice", "exp": int(time.time()) + 60, **claims}
    return jwt.encode({"alg": algorithm, **(head or {})}, given, OctKey.import_key(key), [algorithm])


def encoded(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(part, separators=(",", ":")).encode()).rstrip(b"=").decode()


def forged(head: dict[str, Any], token: str) -> str:
    """The token with another head and its old signature."""
    return ".".join([encoded(head), *token.split(".")[1:]])


def marked(key: bytes, head: dict[str, Any], body: str) -> str:
    """A token as no library would sign it."""
    signed = f"{encoded(head)}.{body}"
    mark = urlsafe_b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).rstrip(b"=")
    return f"{signed}.{mark.decode()}"


async def test_own_token_names_its_key_and_stands_for_its_user() -> None:
    async with verifying() as tokens:
        token = tokens.sign("alice", 60)
        bearer = await tokens.verify(token)
    assert (bearer.user, bearer.name) == ("alice", "alice")
    assert abs(bearer.expires - time.time() - 60) < 30
    assert abs(bearer.issued - time.time()) < 30
    head = json.loads(keyfile.key_id(OWN.encode()).join(['{"kid":"', '"}']))
    assert (
        token.split(".")[0]
        == urlsafe_b64encode(json.dumps({"typ": "JWT", "alg": "HS256", **head}, separators=(",", ":")).encode())
        .rstrip(b"=")
        .decode()
    )


async def test_token_of_a_former_key_holds_and_new_ones_bear_the_new_key() -> None:
    former = "the key that we had until yesterday and no longer"
    old = Tokens(former.encode()).sign("alice", 60)
    async with verifying(old_secret_keys=f"another one that is a good deal older, {former}") as tokens:
        assert (await tokens.verify(old)).user == "alice"
        new = tokens.sign("alice", 60)
    await refused(Tokens(former.encode()), new)
    async with verifying() as tokens:
        await refused(tokens, old)


async def test_rotated_file_of_keys_is_seen_by_who_runs_already(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "_LOOK_SECONDS", 0.0)
    running = Tokens(Keyring.of(settings))
    before = running.sign("alice", 60)
    signing, former = keyfile.rotate(settings.key_file)
    after = Tokens(Keyring.of(settings)).sign("alice", 60)
    assert (await running.verify(before)).user == (await running.verify(after)).user == "alice"
    assert running.sign("alice", 60).split(".")[0] == after.split(".")[0]
    # The one that signs cannot be taken away; the former can, and its tokens with it.
    assert not keyfile.remove(settings.key_file, keyfile.key_id(signing))
    assert keyfile.remove(settings.key_file, keyfile.key_id(former))
    await refused(running, before)
    assert (await running.verify(after)).user == "alice"


async def test_token_of_a_key_that_was_made_this_moment_holds_at_once(settings: Settings) -> None:
    running = Tokens(Keyring.of(settings))
    before = running.sign("alice", 60)
    assert (await running.verify(before)).user == "alice"
    keyfile.rotate(settings.key_file)
    assert (await running.verify(Tokens(Keyring.of(settings)).sign("alice", 60))).user == "alice"


async def test_file_of_keys_that_is_gone_takes_no_key_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "_LOOK_SECONDS", 0.0)
    running = Tokens(Keyring.of(settings))
    token = running.sign("alice", 60)
    settings.key_file.unlink()
    assert (await running.verify(token)).user == "alice"
    assert not settings.key_file.exists()


def test_file_of_keys_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    keyfile.kept_keys(path)
    keyfile.rotate(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["secret.key"]


@pytest.mark.parametrize(
    "given",
    [
        {"secret_key": "short"},
        {"secret_key": OWN, "old_secret_keys": "short"},
        {"jwt_secret": "short"},
        {"secret_key": OWN, "jwt_secret": OWN},
        {"secret_key": OWN, "old_secret_keys": SHARED, "jwt_secret": SHARED},
    ],
)
def test_keys_that_cannot_be_safe_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**given)
    assert not any(value in str(caught.value) for value in given.values())


async def test_token_of_a_shared_secret_stands_for_somebody_of_its_own_namespace() -> None:
    async with verifying(jwt_secret=SHARED, jwt_issuer=NAME, jwt_audience=AUDIENCE) as tokens:
        token = signed(SHARED, iss=NAME, aud=AUDIENCE, name="Alice Liddell", head={"kid": "theirs"})
        bearer = await tokens.verify(token)
        assert (bearer.user, bearer.name) == (outsider_id(NAME, "alice"), "Alice Liddell")
        assert (await tokens.verify(tokens.sign("alice", 60))).user == "alice" != bearer.user
        # Nor by writing the namespace into the name, from either side.
        assert (await tokens.verify(tokens.sign(bearer.user, 60))).user != bearer.user


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example", "aud": AUDIENCE},
        {"aud": AUDIENCE},
        {"iss": NAME, "aud": "another"},
        {"iss": NAME},
        {"iss": NAME, "aud": AUDIENCE, "nbf": int(time.time()) + 3600},
        {"iss": NAME, "aud": AUDIENCE, "exp": int(time.time()) - 60},
        {"iss": NAME, "aud": AUDIENCE, "exp": float("nan")},
        {"iss": NAME, "aud": AUDIENCE, "sub": "\ud800"},
        {"iss": NAME, "aud": AUDIENCE, "sub": 7},
        {"iss": NAME, "aud": AUDIENCE, "sub": ""},
    ],
)
async def test_token_that_is_not_for_us_or_not_for_now_is_refused(claims: dict[str, Any]) -> None:
    async with verifying(jwt_secret=SHARED, jwt_issuer=NAME, jwt_audience=AUDIENCE) as tokens:
        given = {"sub": "alice", "exp": int(time.time()) + 60, **claims}
        await refused(tokens, marked(SHARED.encode(), {"alg": "HS256"}, encoded(given)))


async def test_audience_may_be_one_of_several_and_clocks_may_differ_by_ten_seconds() -> None:
    now = int(time.time())
    async with verifying(jwt_secret=SHARED, jwt_issuer=NAME, jwt_audience=AUDIENCE) as tokens:
        for claims in ({"exp": now - 5}, {"nbf": now + 5}, {"iat": now + 5}, {"aud": ["x", AUDIENCE]}):
            given: dict[str, Any] = {"iss": NAME, "aud": AUDIENCE, **claims}
            token = signed(SHARED, **given)
            assert (await tokens.verify(token)).user == outsider_id(NAME, "alice")


async def test_times_that_no_float_can_hold_are_no_error() -> None:
    async with verifying() as tokens:
        assert (await tokens.verify(signed(OWN, exp=10**400))).user == "alice"
        assert (await tokens.verify(signed(OWN, iat=-(10**400)))).issued == 0


async def test_published_keys_of_every_kind_verify(issuer: PublishingIssuer) -> None:
    issuer.add_every_kind()
    async with verifying(jwks_url=issuer.url, jwt_issuer=NAME, jwt_algorithms="RS256,ES256,Ed25519") as tokens:
        for key, algorithm in (("first", "RS256"), ("curve", "ES256"), ("edwards", "Ed25519")):
            bearer = await tokens.verify(issuer.sign(key, algorithm))
            assert bearer.user == outsider_id(NAME, "alice")
    assert issuer.asked == 1


async def test_algorithm_is_the_keys_and_never_the_tokens(issuer: PublishingIssuer) -> None:
    public = issuer.keys["first"]
    assert isinstance(public, RSAKey)
    good = issuer.sign()
    async with verifying(jwks_url=issuer.url, jwt_issuer=NAME, jwt_secret=SHARED) as tokens:
        await tokens.verify(good)
        for published in (public.as_pem(private=False), public.as_der(private=False)):
            await refused(tokens, marked(published, {"alg": "HS256", "kid": "first"}, good.split(".")[1]))
        for head_ in (
            {"alg": "none"},
            {"alg": "None", "kid": "first"},
            {"alg": "ES256", "kid": "first"},
            {"alg": "RS512", "kid": "first"},
            {"alg": "HS256", "kid": "secret"},
            {"alg": "RS256", "kid": ["first"]},
            {"alg": ["RS256"], "kid": "first"},
            {"alg": "RS256", "kid": "first", "crit": ["x"], "x": 1},
            {"kid": "first"},
        ):
            await refused(tokens, forged(head_, good))
        # A key that comes along with the token is nobody's.
        mine = RSAKey.generate_key(2048)
        brought = jwt.encode(
            {"alg": "RS256", "kid": "first", "jwk": mine.as_dict(private=False)},
            {"sub": "alice", "iss": NAME, "exp": int(time.time()) + 60},
            mine,
            ["RS256"],
        )
        await refused(tokens, brought)


def respelled(token: str) -> Iterator[str]:
    """The token as a decoder that is not strict would take it just as well."""
    head, claims, signature = token.split(".")
    yield from (f"{token}{junk}" for junk in ("=", "==", "!", " ", "\n", "*", "\x00", "é", ".", "A", "\u0660"))
    yield f"{head}.{claims}.!{signature}"
    yield f"{head}.{claims}.{signature[:5]}\n{signature[5:]}"
    yield f"{head}.{claims}={'=' * (-len(claims) % 4)}.{signature}"
    yield f"{head}.{claims}.{signature.replace('-', '+').replace('_', '/')}="
    # The last character of 32 bytes, or of 256, has bits that stand for nothing.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield f"{head}.{claims}.{signature[:-1]}{letters[letters.index(signature[-1]) + 1]}"


async def test_token_is_written_in_one_way(issuer: PublishingIssuer) -> None:
    async with verifying(jwks_url=issuer.url, jwt_issuer=NAME, jwt_secret=SHARED) as tokens:
        odd_head = signed(OWN, head={"cty": "not plain"})
        for good in (tokens.sign("alice", 60), odd_head, signed(SHARED, iss=NAME), issuer.sign()):
            assert (await tokens.verify(good)).user
            for token in respelled(good):
                await refused(tokens, token)
            assert (await tokens.verify(good)).user


@pytest.mark.parametrize("issued", [None, 0, "then"])
async def test_issuers_token_from_before_its_user_was_disabled_stays_dead(redis: Redis, issued: object) -> None:
    async with verifying(jwt_secret=SHARED) as tokens:
        claims: dict[str, Any] = (
            {} if issued is None else {"iat": int(time.time()) - 100 if issued == "then" else issued}
        )
        bearer = await tokens.verify(signed(SHARED, **claims))
        access = DisabledUsers(redis)
        await access.check(bearer.user, bearer.issued)
        await access.disable(bearer.user)
        await access.enable(bearer.user)
        # A new look at the same token, which says no more than it did.
        again = await tokens.verify(signed(SHARED, **claims))
        with pytest.raises(Unauthenticated) as caught:
            await access.check(again.user, again.issued)
        assert caught.value.code == "signed_out"
        fresh = await tokens.verify(signed(SHARED, iat=time.time()))
        await access.check(fresh.user, fresh.issued)


async def test_key_that_is_new_is_fetched_once_and_a_flood_of_unknown_ones_hardly_ever(
    issuer: PublishingIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_PAUSE_SECONDS", 0.0)
    async with verifying(jwks_url=issuer.url, jwt_issuer=NAME) as tokens:
        await tokens.verify(issuer.sign())
        issuer.add("second", ECKey.generate_key("P-256"))
        assert (await tokens.verify(issuer.sign("second", "ES256"))).user
        assert issuer.asked == 2
        monkeypatch.setattr(jwks, "_PAUSE_SECONDS", 3600.0)
        for number in range(300):
            await refused(tokens, forged({"alg": "RS256", "kid": f"unknown {number}"}, issuer.sign()))
        await tokens.verify(issuer.sign())
    assert issuer.asked == 2


@pytest.mark.parametrize("mode", ["hang", "huge", "html", "garbage", "error"])
async def test_keys_that_cannot_be_had_are_503_and_ours_need_none(
    issuer: PublishingIssuer, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(jwks, "_FETCH_SECONDS", 0.3)
    monkeypatch.setattr(jwks, "_PAUSE_SECONDS", 0.0)
    issuer.mode = mode
    async with verifying(jwks_url=issuer.url, jwt_issuer=NAME) as tokens:
        for _ in range(2):
            with pytest.raises(Unavailable) as caught:
                await tokens.verify(issuer.sign())
            assert caught.value.code == "keys_unavailable"
        asked = issuer.asked
        assert (await tokens.verify(tokens.sign("alice", 60))).user == "alice"
        await refused(tokens, signed(SHARED))
        await refused(tokens, "garbage")
        assert issuer.asked == asked
        issuer.mode = "well"
        assert (await tokens.verify(issuer.sign())).user


async def test_keys_at_hand_verify_while_the_issuer_is_away(
    issuer: PublishingIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with verifying(jwks_url=issuer.url, jwt_issuer=NAME) as tokens:
        await tokens.verify(issuer.sign())
        issuer.mode = "error"
        monkeypatch.setattr(jwks, "_FRESH_SECONDS", 0.0)
        monkeypatch.setattr(jwks, "_PAUSE_SECONDS", 0.0)
        asked = issuer.asked
        assert (await tokens.verify(issuer.sign())).user
        await until(lambda: issuer.asked > asked)
        assert (await tokens.verify(issuer.sign())).user


async def test_nobody_at_the_address_of_the_keys_is_503() -> None:
    async with verifying(jwks_url="http://127.0.0.1:1/keys") as tokens, publishing() as issuer:
        with pytest.raises(Unavailable):
            await tokens.verify(issuer.sign())


def test_ids_of_different_people_are_different() -> None:
    names = ["alice", "alice!", "a" * 149, "a" * 151, "a" * 152, "名" * 80, "名" * 81, "x!alice", "~", "%21"]
    ids = [user_id(name) for name in names] + [outsider_id(NAME, name) for name in names]
    ids += [outsider_id("https://other.example", name) for name in names]
    assert len(set(ids)) == len(ids)
    assert all(len(id) <= 150 and not set(id) & set("{}/: ") for id in ids)
