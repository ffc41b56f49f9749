"""Users' ids: one plain namespace for local accounts and our own tokens, one of its own for each outside issuer."""

from __future__ import annotations

from urllib.parse import quote

from app.core.redis import keys

_MAX_LENGTH = 150
_MARK_LENGTH = 13


def user_id(name: str) -> str:
    """A user's name as it stands in keys and paths: percent-encoded but for letters, digits, `@`, `_`, `-`, `.`, `~`.

    Raises ValueError for what is no text (half of a surrogate pair).
    """
    return _short(quote(name, safe="@"))


def outsider_id(namespace: str, subject: str) -> str:
    """The id of somebody whom another issuer vouches for. Raises ValueError as `user_id` does.

    It has a `!`, which no plain id has, so that no issuer's `alice` is ours, or another issuer's.
    """
    return _short(f"{_mark(namespace)}{quote(subject, safe='@')}")


def is_outsider(id: str) -> bool:
    """Whether this is the id of somebody whom another issuer vouches for, and no plain name."""
    # A plain name that was too long has the mark further on.
    return id[_MARK_LENGTH - 1 : _MARK_LENGTH] == "!"


def issued_by(id: str, namespace: str) -> bool:
    """Whether this is the id of somebody whom the issuer of this namespace vouches for."""
    return bool(namespace) and id.startswith(_mark(namespace))


def _mark(namespace: str) -> str:
    return f"{keys.digest(namespace)[: _MARK_LENGTH - 1]}!"


def _short(id: str) -> str:
    """Ids are names of folders as well, and those have an end."""
    return id if len(id) <= _MAX_LENGTH else f"{id[:80]}!{keys.digest(id)[:32]}"
