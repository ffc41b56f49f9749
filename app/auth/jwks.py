"""The public keys of another issuer (RFC 7517), fetched from where it publishes them.

Flows:

- *known*: a key that is at hand verifies at once; a set that grows old is fetched anew in the background.
- *unknown*: a `kid` that is not at hand makes a fetch, at most one every five seconds, whoever asks: a flood of
  invented ones reaches the issuer no more often.
- *away*: what cannot be fetched within three seconds is `keys_unavailable`; keys at hand go on verifying for an hour,
  which is as long as tokens commonly hold.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from app.core.errors import Unavailable

logger = structlog.get_logger()

_FETCH_SECONDS = 3.0
_PAUSE_SECONDS = 5.0
_FRESH_SECONDS = 600.0
_OLDEST_SECONDS = 3600.0
_MAX_SIZE = 256 * 1024
_MAX_KEYS = 100
_FITTING: Mapping[str, frozenset[str]] = {
    "RSA": frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}),
    "EC/P-256": frozenset({"ES256"}),
    "EC/P-384": frozenset({"ES384"}),
    "EC/P-521": frozenset({"ES512"}),
    "OKP/Ed25519": frozenset({"EdDSA", "Ed25519"}),
}
"""Which algorithms a kind of key is for; a shared secret among published keys is for none."""


class RemoteKeys:
    """The keys at one address."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.AsyncClient(timeout=_FETCH_SECONDS, follow_redirects=False)
        self._keys: list[Key] = []
        self._fetched = -_OLDEST_SECONDS
        self._tried = -_PAUSE_SECONDS
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, algorithm: str, id: str | None) -> Key | None:
        """The key for a token that names this algorithm and key; None where the issuer has no such key.

        Raises Unavailable (`keys_unavailable`).
        """
        if _now() - self._fetched > _FRESH_SECONDS:
            self._begin()
        if key := self._at_hand(algorithm, id):
            return key
        if fetching := self._begin():
            await asyncio.shield(fetching)
        if self._fetched < self._tried:
            raise Unavailable(
                "The keys of the token's issuer cannot be fetched; try again.", code="keys_unavailable", retry_after=5
            )
        return self._at_hand(algorithm, id)

    async def close(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)
        await self._http.aclose()

    def _at_hand(self, algorithm: str, id: str | None) -> Key | None:
        if _now() - self._fetched > _OLDEST_SECONDS:
            return None
        fitting = [key for key in self._keys if _fits(key, algorithm)]
        named = [key for key in fitting if key.kid == id] if id is not None else fitting
        # A token that names no key can mean only the one that there is.
        return named[0] if len(named) == 1 or (named and id is not None) else None

    def _begin(self) -> asyncio.Task[None] | None:
        """A fetch that is under way, or one that is begun now; None where the last one was too short a time ago."""
        if self._fetching is None and _now() - self._tried >= _PAUSE_SECONDS:
            self._tried = _now()
            self._fetching = asyncio.create_task(self._fetch())
        return self._fetching

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                self._keys = _imported(await self._download())
            self._fetched = _now()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError) as error:
            logger.warning("keys_unavailable", url=self._url, error=repr(error))
        finally:
            self._fetching = None

    async def _download(self) -> Any:
        async with self._http.stream("GET", self._url, headers={"Accept": "application/json"}) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"the answer is {answer.status_code}")
            content = b""
            async for chunk in answer.aiter_bytes():
                content += chunk
                if len(content) > _MAX_SIZE:
                    raise ValueError(f"the answer has more than {_MAX_SIZE} bytes")
        return httpx.Response(200, content=content).json()


def _imported(document: Any) -> list[Key]:
    """The keys that we can use; one that we cannot does not spoil the others. Raises ValueError."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer is no key set")
    keys = (_key(data) for data in listed[:_MAX_KEYS])
    return [key for key in keys if key is not None]


def _key(data: Any) -> Key | None:
    try:
        return JWKRegistry.import_key(data)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _fits(key: Key, algorithm: str) -> bool:
    """A key is for the algorithms of its kind, and where it names one itself for that one alone."""
    kind = f"{key.key_type}/{key.curve_name}" if isinstance(key, ECKey | OKPKey) else key.key_type
    usable = isinstance(key, RSAKey | ECKey | OKPKey) and key.get("use") in {None, "sig"}
    return usable and algorithm in _FITTING.get(kind, ()) and key.get("alg") in {None, algorithm}


def _now() -> float:
    return time.monotonic()
