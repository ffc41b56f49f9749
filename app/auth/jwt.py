"""JWTs (RFC 7519) as they come in: looked at from outside first, then verified with one key and one algorithm."""

from __future__ import annotations

import hmac
import json
import re
from binascii import a2b_base64
from functools import lru_cache
from typing import Any, NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, OctKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import JWTClaimsRegistry
from pydantic_core import from_json

LEEWAY_SECONDS = 10
_MAX_SIZE = 8192
_MAX_HEAD = 1024
_PLAIN = {"alg", "kid", "typ"}
# Decoders skip what is no base64url, and drop the bits that a last character has beyond the last byte: without this,
# one token could be written in many ways.
_PART = r"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT = re.compile(rf"(?=[^.]){_PART}\.(?=[^.]){_PART}\.(?=.){_PART}", re.DOTALL)


class BadToken(Exception):
    """A token that does not hold; the message says why, for the log and not for the one who sent it."""


class Head(NamedTuple):
    """What a token says of how it was signed. Nothing of it is believed; it only chooses among what is allowed.

    `plain`: that is all it says.
    """

    algorithm: str
    key: str | None
    plain: bool


def head_of(token: str) -> Head:
    """The head of a token, read before anything is computed. Raises BadToken."""
    if len(token) > _MAX_SIZE:
        raise BadToken("too large")
    if not _COMPACT.fullmatch(token):
        raise BadToken("not three parts of base64url as it is written (RFC 7515, 2)")
    first = token.partition(".")[0]
    if len(first) > _MAX_HEAD:
        raise BadToken("too large a head")
    return _head(first)


@lru_cache(maxsize=32)
def _head(first: str) -> Head:
    """Kept, as all tokens that were signed with one key begin alike."""
    try:
        head = json.loads(_decoded(first))
    except (ValueError, RecursionError) as error:
        raise BadToken("a head that is no JSON") from error
    algorithm, key = (head.get("alg"), head.get("kid")) if isinstance(head, dict) else (None, None)
    if not isinstance(algorithm, str) or not isinstance(key, str | None):
        raise BadToken("a head without an algorithm")
    return Head(algorithm, key, head.keys() <= _PLAIN)


def claims_of(token: str, key: Key, algorithm: str, registry: JWTClaimsRegistry) -> dict[str, Any]:
    """The claims of a token that was signed with this key by this algorithm, and that holds now. Raises BadToken."""
    try:
        # Issuers put things of their own into the head; none of them matters here.
        claims = jwt.decode(token, key, registry=JWSRegistry(algorithms=[algorithm], strict_check_header=False)).claims
        registry.validate(claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise BadToken(str(error) or type(error).__name__) from error
    return claims


def claims_by_hmac(token: str, key: OctKey, registry: JWTClaimsRegistry) -> dict[str, Any]:
    """The same of a token with a plain head that was signed by HMAC-SHA256. Raises BadToken.

    It comes with each stream that is opened, and goes without the library's layers, which take six times as long; the
    claims are checked by the library all the same (RFC 7515, 5.2, and RFC 7518, 3.2).
    """
    signed, _, signature = token.rpartition(".")
    try:
        mac = _mac(key.raw_value).copy()
        mac.update(signed.encode("ascii"))
        if not hmac.compare_digest(mac.digest(), _decoded(signature)):
            raise BadToken("bad_signature")
        claims = from_json(_decoded(signed.partition(".")[2]))
        if not isinstance(claims, dict):
            raise BadToken("claims that are no object")
        registry.validate(claims)
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise BadToken(str(error) or type(error).__name__) from error
    return claims


@lru_cache(maxsize=8)
def _mac(key: bytes) -> hmac.HMAC:
    """Kept for each key, to be copied: to set one up takes longer than to sign a token."""
    return hmac.new(key, digestmod="sha256")


def _decoded(part: str) -> bytes:
    """Base64 without its padding (RFC 7515, 2). Raises ValueError."""
    return a2b_base64(part.replace("-", "+").replace("_", "/") + "==")
