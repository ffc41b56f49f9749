"""The file of keys that SmartVoice made for itself: a key a line, the first signs, the others still verify."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def kept_keys(path: Path) -> list[bytes]:
    """The keys in the file `path`; a new one, readable by its owner alone, where there is none yet."""
    if not path.exists():
        # Of two processes that start at once, one wins and both read the same key.
        with suppress(FileExistsError):
            _write(path, [_new_key()], os.link)
    return [key for line in path.read_bytes().splitlines() if (key := line.strip())]


def rotate(path: Path) -> list[bytes]:
    """Puts a new key before those in the file; the keys it then has."""
    former = kept_keys(path) if path.exists() else []
    _write(path, [_new_key(), *former], os.replace)
    return kept_keys(path)


def remove(path: Path, id: str) -> bool:
    """Takes the key with this id out of the file; False where it is not there or is the one that signs."""
    signing, *others = kept_keys(path)
    left = [key for key in others if key_id(key) != id]
    if len(left) == len(others):
        return False
    _write(path, [signing, *left], os.replace)
    return True


def key_id(key: bytes) -> str:
    """What a key is called in a token's header (`kid`), and by people."""
    return hashlib.sha256(b"smartvoice key id:" + key).hexdigest()[:12]


def _new_key() -> bytes:
    return secrets.token_urlsafe(48).encode()


def _write(path: Path, keys: list[bytes], put: Callable[[Path, Path], None]) -> None:
    """Written aside and put into place as a whole, so that nobody ever reads half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    aside.touch(mode=0o600)
    try:
        aside.write_bytes(b"\n".join(keys) + b"\n")
        put(aside, path)
    finally:
        aside.unlink(missing_ok=True)
