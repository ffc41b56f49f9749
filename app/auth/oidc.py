"""Signing in at an OpenID provider (OpenID Connect Core 1.0, authorization code flow) with Authlib's Starlette client.

Authlib would keep what it has to remember in a session of its own. Here that lies in Redis for ten minutes, under a
digest of the `state`, and is bound by a cookie to the browser that began: nobody can finish what another began.
"""

from __future__ import annotations

import asyncio
import json
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import structlog
from joserfc.errors import JoseError
from redis.asyncio import Redis

from app.auth.user_ids import outsider_id
from app.core.errors import BadRequest, Unauthenticated, Unavailable
from app.core.json_model import compact
from app.core.redis import keys
from app.core.settings import Settings

logger = structlog.get_logger()

SECONDS = 600
MAX_BEGUN = 10_000
"""Sign-ins that are remembered at once, of some 2 KB each."""
_PATIENCE_SECONDS = 8.0
_FRESH_SECONDS = 3600.0
_PAUSE_SECONDS = 0.5
_MAX_SUBJECT = 255


class ProviderUser(NamedTuple):
    """Whom the provider vouches for, where they were going, and its token to sign them out with."""

    user: str
    name: str
    target: str
    hint: str


class PendingSignIn(NamedTuple):
    """A sign-in that has begun: which browser, from which address of ours, to where."""

    browser: str
    callback: str
    target: str


class Provider:
    """The provider that the settings name."""

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self.name = settings.oidc_name
        self._issuer = settings.oidc_issuer
        self._client_id = settings.oidc_client_id
        self._redis = redis
        self._client = _client(settings)
        self._discovering = asyncio.Lock()
        self._failed = -_PAUSE_SECONDS

    async def begin(self, begun: PendingSignIn) -> str:
        """The provider's address to send the browser to. Raises Unavailable (`provider_unavailable`)."""
        async with self._reaching():
            await self._discover()
            made = await self._client.create_authorization_url(begun.callback)
        kept = {
            **begun._asdict(),
            "browser": keys.digest(begun.browser),
            "nonce": made["nonce"],
            "verifier": made["code_verifier"],
        }
        await self._keep(keys.oidc(made["state"]), compact(kept))
        return str(made["url"])

    async def _keep(self, key: str, begun: str) -> None:
        """Raises Unavailable (`too_busy`) where more have begun than are remembered, whoever began them."""
        now = time.time()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zremrangebyscore(keys.OIDC_BEGUN, "-inf", now)
            pipe.zcard(keys.OIDC_BEGUN)
            _, pending = await pipe.execute()
        if pending >= MAX_BEGUN:
            raise Unavailable("Too many are signing in just now; try again.", code="too_busy", retry_after=30)
        await self._redis.zadd(keys.OIDC_BEGUN, {key: now + SECONDS})
        await self._redis.set(key, begun, ex=SECONDS)

    async def finish(self, answer: dict[str, str], browser: str | None) -> ProviderUser:
        """Who has come back with this answer of the provider's (the query of the callback).

        Raises BadRequest (`bad_state`), Unauthenticated (`provider_refused`), Unavailable (`provider_unavailable`).
        """
        begun = await self._begun(answer.get("state", ""), browser)
        if "code" not in answer or answer.get("iss", self._issuer) != self._issuer:
            raise _refused(answer.get("error", "no code"))
        async with self._reaching():
            await self._discover()
            token = await self._client.fetch_access_token(
                redirect_uri=begun["callback"], code=answer["code"], code_verifier=begun["verifier"]
            )
            claims = await self._claims(token, begun["nonce"])
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
            raise _refused("a subject that is no name")
        return ProviderUser(outsider_id(self._issuer, subject), _name(claims), begun["target"], token["id_token"])

    async def farewell(self, hint: str, back: str) -> str | None:
        """Where the browser signs out at the provider too (OpenID Connect RP-Initiated Logout 1.0); None where the
        provider has no such place. Raises Unavailable (`provider_unavailable`)."""
        async with self._reaching():
            metadata = await self._discover()
            if "end_session_endpoint" not in metadata:
                return None
            made = await self._client.create_logout_url(
                post_logout_redirect_uri=back, id_token_hint=hint, client_id=self._client_id
            )
        return str(made["url"])

    async def _begun(self, state: str, browser: str | None) -> dict[str, str]:
        key = keys.oidc(state)
        kept = await self._redis.getdel(key)
        if kept:
            await self._redis.zrem(keys.OIDC_BEGUN, key)
        begun: dict[str, str] = json.loads(kept) if kept else {}
        if not begun or browser is None or keys.digest(browser) != begun["browser"]:
            raise BadRequest("This sign-in was not begun in this browser, or too long ago.", code="bad_state")
        return begun

    async def _discover(self) -> dict[str, Any]:
        """What the provider says of itself, at most an hour ago (OpenID Connect Discovery 1.0).

        Who comes while it is asked waits for that; where it could not be asked a moment ago, it is not asked again.
        """
        async with self._discovering:
            if time.monotonic() - self._failed < _PAUSE_SECONDS:
                raise TimeoutError("it could not be asked a moment ago")
            self._failed = time.monotonic()  # unless it answers
            metadata = await self._ask()
            self._failed = -_PAUSE_SECONDS
            return metadata

    async def _ask(self) -> dict[str, Any]:
        if time.time() - self._client.server_metadata.get("_loaded_at", 0) > _FRESH_SECONDS:
            self._client.server_metadata.clear()
        metadata: dict[str, Any] = await self._client.load_server_metadata()
        if metadata.get("issuer") != self._issuer:
            self._client.server_metadata.clear()
            raise ValueError(f"the provider calls itself {metadata.get('issuer')!r}")
        # A provider may list `none` and HMAC too, which are not for tokens that come by way of its published keys.
        told = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
        usable = [name for name in told if isinstance(name, str) and name[:2] in {"RS", "PS", "ES", "Ed"}]
        metadata["id_token_signing_alg_values_supported"] = usable
        return metadata

    async def _claims(self, token: dict[str, Any], nonce: str) -> dict[str, Any]:
        """The identity token's, and what the provider tells beside it where that has no name."""
        if "id_token" not in token:
            raise _refused("no identity token")
        options = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._client_id},
        }
        claims = dict(await self._client.parse_id_token(token, nonce, claims_options=options, leeway=10))
        if not claims.get("name") and "userinfo_endpoint" in self._client.server_metadata:
            more = dict(await self._client.userinfo(token=token))
            # What is told of another is told by mistake, or worse.
            claims |= more if more.get("sub") == claims["sub"] else {}
        return claims

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        """What the provider does wrong is told apart: it refuses, or it cannot be reached."""
        from authlib.common.errors import AuthlibBaseError

        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                yield
        except (AuthlibBaseError, JoseError) as error:
            raise _refused(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RuntimeError, KeyError) as error:
            logger.warning("provider_unavailable", issuer=self._issuer, error=repr(error))
            raise Unavailable(
                "The sign-in service cannot be reached; try again.", code="provider_unavailable", retry_after=10
            ) from error


def provider_of(settings: Settings, redis: Redis) -> Provider | None:
    """The provider that the settings name, if they name one."""
    return Provider(settings, redis) if settings.oidc_issuer else None


def _client(settings: Settings) -> Any:  # Authlib has no types
    # Loaded where it is wanted: it takes a while, and it would print that it prefers another HTTP library.
    from authlib.deprecate import AuthlibDeprecationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AuthlibDeprecationWarning)
        from authlib.integrations.starlette_client import StarletteOAuth2App

    options = {
        "scope": settings.oidc_scopes,
        "code_challenge_method": "S256",
        "timeout": _PATIENCE_SECONDS / 2,
        "token_endpoint_auth_method": "client_secret_basic",
    }
    secret = settings.oidc_client_secret.get_secret_value()
    if not secret:
        options["token_endpoint_auth_method"] = "none"
    return StarletteOAuth2App(
        None,
        "provider",
        client_id=settings.oidc_client_id,
        client_secret=secret or None,
        server_metadata_url=settings.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
        client_kwargs=options,
    )


def _name(claims: dict[str, Any]) -> str:
    told = (claims.get(name) for name in ("name", "preferred_username", "email", "sub"))
    return next(name[:_MAX_SUBJECT] for name in told if isinstance(name, str) and name)


def _refused(reason: str) -> Unauthenticated:
    logger.warning("provider_refused", reason=reason[:200])
    return Unauthenticated("The sign-in service has not let you in.", code="provider_refused")
