"""Sealing what only the holder of a secret may read. We keep a digest of the secret: without them, not even we can."""

from __future__ import annotations

import hashlib

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_HEAD = {"alg": "dir", "enc": "A256GCM"}


def seal(secret: str, text: str) -> str:
    """`text` for the holder of `secret` alone (JWE, RFC 7516)."""
    return jwe.encrypt_compact(_HEAD, text, _key(secret))


def unseal(secret: str, sealed: str) -> str | None:
    """What was sealed; None where it was not with this secret."""
    try:
        content = jwe.decrypt_compact(sealed, _key(secret)).plaintext
    except (JoseError, ValueError):
        return None
    return None if content is None else content.decode()


def _key(secret: str) -> OctKey:
    return OctKey.import_key(hashlib.sha256(b"smartvoice seal:" + secret.encode()).digest())
