"""Identities and the credentials that prove them."""

from __future__ import annotations

import time
from typing import NamedTuple


class Credential(NamedTuple):
    """A credential that was accepted.

    Args:
        issued: Unix time.
        session: the digest of a session cookie, if it was one.
        key: the id of our key that signed it, if it was a token of ours.
    """

    user: str
    issued: float
    session: str | None = None
    key: str | None = None


class Identity(NamedTuple):
    """Who asks. `user` is safe in keys and paths; `expires` is in seconds of Unix time.

    Args:
        checked: when the credential was checked, on the monotonic clock.
        projects: the visible projects, if a ticket narrows them; empty: all.
        at_provider: whether they signed in at the OpenID provider, and can sign out there.
    """

    user: str
    name: str
    expires: float
    credential: Credential
    checked: float
    projects: frozenset[str] = frozenset()
    at_provider: bool = False

    @property
    def seconds_left(self) -> float:
        return self.expires - time.time()
