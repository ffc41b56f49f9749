"""Bearer tokens: JWTs (RFC 7519) that SmartVoice signed itself, with HMAC-SHA256."""

from __future__ import annotations

import time
from urllib.parse import quote

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jwt import JWTClaimsRegistry

from app.core.errors import Unauthenticated

_ALGORITHM = "HS256"
_LARGEST = 8192
_LEEWAY_SECONDS = 10


class Tokens:
    """Signs and verifies with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = OctKey.import_key(key)
        self._claims = JWTClaimsRegistry(leeway=_LEEWAY_SECONDS, sub={"essential": True}, exp={"essential": True})

    def sign(self, user: str, seconds: float) -> str:
        """A token by which `user` is known for so many seconds."""
        now = int(time.time())
        return jwt.encode(
            {"alg": _ALGORITHM}, {"sub": user, "iat": now, "exp": now + int(seconds)}, self._key, [_ALGORITHM]
        )

    def verify(self, token: str) -> tuple[str, float]:
        """The user whom a token names, and when it ends (Unix time). Raises Unauthenticated (`bad_token`)."""
        if len(token) > _LARGEST:
            raise _refused()
        try:
            # The algorithm is pinned: what the token's header says of it is not asked.
            claims = jwt.decode(token, self._key, [_ALGORITHM]).claims
            self._claims.validate(claims)
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise _refused() from error
        subject = claims["sub"]
        if not isinstance(subject, str) or not subject or len(subject) > 255:
            raise _refused()
        return user_id(subject), float(claims["exp"])


def user_id(name: str) -> str:
    """A user's name as it stands in keys and paths: percent-encoded but for letters, digits, `@`, `_`, `-` and `.`."""
    return quote(name, safe="@")


def _refused() -> Unauthenticated:
    return Unauthenticated("The token is not valid, or no longer.", code="bad_token")
