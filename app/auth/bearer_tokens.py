"""Bearer tokens: JWTs (RFC 7519) that SmartVoice signed itself, with HMAC-SHA256, or that another issuer did."""

from __future__ import annotations

import hashlib
import math
import time
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.jwt import JWTClaimsRegistry

from app.auth.credential import Credential
from app.auth.jwt import LEEWAY_SECONDS, BadToken, Head, claims_by_hmac, claims_of, head_of
from app.auth.keyring import Keyring, Own
from app.auth.token_issuer import TokenIssuer
from app.auth.user_ids import is_outsider, issued_by, outsider_id, user_id
from app.core.errors import Unauthenticated

_ALGORITHM = "HS256"
_MAX_SUBJECT = 255
_MAX_KNOWN = 10_000
_END_OF_TIME = 253402300799.0  # the last second of the year 9999


class Bearer(NamedTuple):
    """Whom a token stands for; `expires` and `issued` are in seconds of Unix time; `key`: ours that signed it."""

    user: str
    name: str
    expires: float
    issued: float
    key: str | None = None


class Tokens:
    """Signs with one key of ours; verifies with all of them, and with those of another issuer where there is one."""

    def __init__(self, keys: Keyring | bytes, issuer: TokenIssuer | None = None) -> None:
        self._ring = Keyring([keys]) if isinstance(keys, bytes) else keys
        self._issuer = issuer
        self._known = _VerifiedTokens()
        self._claims = JWTClaimsRegistry(leeway=LEEWAY_SECONDS, sub={"essential": True}, exp={"essential": True})

    def sign(self, user: str, seconds: float) -> str:
        """A token by which `user` is known for so many seconds."""
        now, own = time.time(), self._ring.signing
        # To the millisecond, downwards: what is revoked in the same one holds no longer.
        claims = {"sub": user, "iat": math.floor(now * 1000) / 1000, "exp": int(now) + int(seconds)}
        return jwt.encode({"alg": _ALGORITHM, "kid": own.id}, claims, own.key, [_ALGORITHM])

    async def verify(self, token: str) -> Bearer:
        """Whom a token stands for. Raises Unauthenticated (`bad_token`), Unavailable (`keys_unavailable`)."""
        try:
            digest = _digest(token)
            if (known := self._known.get(digest, self._ring.all())) is not None:
                return known
            head = head_of(token)
            if own := self._own(token, head):
                self._known.keep(digest, own)
                return own
            if self._issuer is None:
                raise BadToken("no key of ours")
            return _outsider(await self._issuer.claims(token, head), self._issuer.namespace)
        except BadToken as error:
            raise Unauthenticated("The token is not valid, or no longer.", code="bad_token") from error

    def vouched(self, credential: Credential) -> bool:
        """Whether the key that signed this token is still one of ours, or its issuer is still in the settings.

        Of a credential that was no token it is true.
        """
        if credential.key is not None:
            return bool(self._ring.called(credential.key))
        if credential.session is not None or not is_outsider(credential.user):
            return True
        return self._issuer is not None and issued_by(credential.user, self._issuer.namespace)

    async def close(self) -> None:
        if self._issuer is not None:
            await self._issuer.close()

    def _own(self, token: str, head: Head) -> Bearer | None:
        """None where the token may be another issuer's. A token that names a key of ours is ours or nobody's."""
        keys = self._ring.called(head.key) if head.algorithm == _ALGORITHM else []
        for own in keys:
            try:
                if head.plain:
                    return _bearer(claims_by_hmac(token, own.key, self._claims), own.id)
                return _bearer(claims_of(token, own.key, _ALGORITHM, self._claims), own.id)
            except BadToken:
                if head.key is not None:
                    raise
        return None


class _VerifiedTokens:
    """Tokens of ours that were verified not long ago, by their digests: whoever polls sends the same one each time.

    They are forgotten when a key is, and when they end. That one has been revoked is not a question of its signature,
    and is looked up each time.
    """

    def __init__(self) -> None:
        self._bearers: dict[bytes, Bearer] = {}
        self._keys: list[Own] = []

    def get(self, digest: bytes, keys: list[Own]) -> Bearer | None:
        if keys is not self._keys:
            self._keys, self._bearers = keys, {}
        found = self._bearers.get(digest)
        return found if found is not None and time.time() < found.expires else None

    def keep(self, digest: bytes, bearer: Bearer) -> None:
        if len(self._bearers) >= _MAX_KNOWN:
            self._bearers.clear()
        self._bearers[digest] = bearer


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _bearer(claims: dict[str, Any], key: str) -> Bearer:
    subject = _subject(claims)
    # A token that does not say when it was issued counts as older than anything.
    return Bearer(user_id(subject), subject, _expires(claims), float(max(0, claims.get("iat", 0))), key)


def _outsider(claims: dict[str, Any], namespace: str) -> Bearer:
    subject, name = _subject(claims), claims.get("name")
    named = name if isinstance(name, str) and 0 < len(name) <= _MAX_SUBJECT else subject
    # Not every issuer says when. Such a token counts as older than anything: once its user has been disabled, it never
    # holds again.
    issued = float(max(0, claims.get("iat", 0)))
    return Bearer(outsider_id(namespace, subject), named, _expires(claims), issued)


def _expires(claims: dict[str, Any]) -> float:
    """JSON knows numbers that no float can hold."""
    return float(min(claims["exp"], _END_OF_TIME))


def _subject(claims: dict[str, Any]) -> str:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise BadToken("a subject that is no name")
    try:
        subject.encode()
    except UnicodeEncodeError as error:
        raise BadToken("a subject that is no text") from error
    return subject
