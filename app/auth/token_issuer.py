"""The other issuer whose tokens hold here: by a secret that it shares with us, by keys that it publishes, or both."""

from __future__ import annotations

from typing import Any, Self

from joserfc.jwk import Key, OctKey
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from app.auth.jwks import RemoteKeys
from app.auth.jwt import LEEWAY_SECONDS, BadToken, Head, claims_of
from app.core.settings import Settings


class TokenIssuer:
    """One issuer. Its users live in a namespace that follows from the settings alone, never from a token."""

    def __init__(self, settings: Settings) -> None:
        secret = settings.jwt_secret.get_secret_value()
        self.namespace = settings.jwt_issuer or settings.jwks_url or "shared secret"
        self._algorithms = settings.outside_algorithms
        self._secret = OctKey.import_key(secret) if secret else None
        self._remote = RemoteKeys(settings.jwks_url) if settings.jwks_url else None
        self._claims = _registry(settings)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The issuer that the settings name, if they name one."""
        return cls(settings) if settings.jwks_url or settings.jwt_secret.get_secret_value() else None

    async def claims(self, token: str, head: Head) -> dict[str, Any]:
        """What a token of this issuer says. Raises BadToken, Unavailable (`keys_unavailable`)."""
        key = await self._key(head)
        if key is None:
            raise BadToken("no such key")
        return claims_of(token, key, head.algorithm, self._claims)

    async def close(self) -> None:
        if self._remote is not None:
            await self._remote.close()

    async def _key(self, head: Head) -> Key | None:
        """A secret is only ever for HMAC, a published key never: so neither can be taken for the other."""
        if head.algorithm not in self._algorithms:
            return None
        if head.algorithm.startswith("HS"):
            return self._secret
        return await self._remote.find(head.algorithm, head.key) if self._remote else None


def _registry(settings: Settings) -> JWTClaimsRegistry:
    # What is set to nothing is essential neither in being there nor in what it says.
    issuer: ClaimsOption = {"essential": True, "value": settings.jwt_issuer} if settings.jwt_issuer else {}
    audience: ClaimsOption = {"essential": True, "value": settings.jwt_audience} if settings.jwt_audience else {}
    must: ClaimsOption = {"essential": True}
    return JWTClaimsRegistry(leeway=LEEWAY_SECONDS, sub=must, exp=must, iss=issuer, aud=audience)
