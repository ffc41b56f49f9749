"""Entity tags (RFC 9110, 8.8.3): how versions are named, and how a client tells which of them it has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

_MAX_TOLD = 4096  # characters that are looked at, a hundred tags or so
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class EntityTags:
    """Names versions by a keyed digest: what a file system or a store calls them tells of its inodes and clocks.

    Args:
        key: the same in all web processes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hashlib.sha256(b"smartvoice entity tags:" + key).digest()

    def of(self, version: str) -> str:
        """A strong tag for what the storage calls `version`."""
        return f'"{hashlib.blake2b(version.encode(), key=self._key, digest_size=15).hexdigest()}"'


def is_known(told: Sequence[str], tag: str) -> bool:
    """Whether the values of `If-None-Match` have `tag` among them, compared weakly, or are `*`."""
    if any(value.strip() == "*" for value in told):
        return True
    return _TAG.fullmatch(tag) is not None and tag.removeprefix("W/") in _TAG.findall(", ".join(told)[:_MAX_TOLD])
