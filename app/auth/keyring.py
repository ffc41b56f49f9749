"""Our own keys: one signs, all verify. A key file is read again when it changes, so rotation needs no restart."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple, Self

from joserfc.jwk import OctKey

from app.core.keyfile import kept_keys, key_id
from app.core.settings import Settings

_LOOK_SECONDS = 0.25


class Own(NamedTuple):
    """A key of ours and its id."""

    id: str
    key: OctKey


class Keyring:
    """The keys, the signing one first.

    Args:
        keys: the keys as bytes.
        path: the file that they were read from, if it may change.
    """

    def __init__(self, keys: list[bytes], path: Path | None = None) -> None:
        self._keys = _imported(keys)
        self._path = path
        self._looked = time.monotonic()
        self._changed = self._change()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make the keyring that the settings name."""
        return cls(settings.own_keys(), None if settings.secret_key.get_secret_value() else settings.key_file)

    @property
    def changes(self) -> bool:
        """Whether the keys may change while this process runs."""
        return self._path is not None

    @property
    def signing(self) -> Own:
        return self.all()[0]

    def all(self) -> list[Own]:
        """Return all keys that verify."""
        self._look()
        return self._keys

    def called(self, id: str | None) -> list[Own]:
        """Return the keys that may have signed a token that names this key, or no key."""
        if id is None:
            return self.all()
        named = [own for own in self.all() if own.id == id]
        if not named:
            # The key may have been added just now.
            self._reload()
            named = [own for own in self._keys if own.id == id]
        return named

    def _look(self) -> None:
        if time.monotonic() >= self._looked + _LOOK_SECONDS:
            self._reload()

    def _reload(self) -> None:
        if self._path is None:
            return
        self._looked = time.monotonic()
        change = self._change()
        # A file that is gone for a moment removes no key.
        if change is not None and change != self._changed:
            self._keys, self._changed = _imported(kept_keys(self._path)), change

    def _change(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns) if found else None


def _imported(keys: list[bytes]) -> list[Own]:
    return [Own(key_id(key), OctKey.import_key(key)) for key in keys]
