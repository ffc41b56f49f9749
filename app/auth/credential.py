"""Who asks, and what they came in with."""

from __future__ import annotations

import time
from typing import NamedTuple


class Credential(NamedTuple):
    """What somebody came in with.

    Args:
        issued: Unix time.
        session: the digest of a cookie, where it was one.
        key: the id of our key that signed it, where it was a token of ours.
    """

    user: str
    issued: float
    session: str | None = None
    key: str | None = None


class Identity(NamedTuple):
    """Who asks. `user` is safe in keys and paths; `expires` is in seconds of Unix time.

    Args:
        checked: since when it is certain that the credential holds, on the monotonic clock.
        projects: those that are to be seen, where a ticket narrows it; empty: all.
        at_provider: whether they have signed in at the OpenID provider, and can sign out there.
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
