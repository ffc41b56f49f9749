"""What `smartvoice narrate` remembers between two runs: which project a manuscript became, and which files it wrote."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from app.core.manuscripts.formats import suffix_of

NOTES = ".smartvoice.json"


def cache_dir() -> Path:
    """Where the embedded stack of `narrate` keeps everything: XDG_CACHE_HOME, else ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smartvoice"


class Notes:
    """A small JSON file of names and values; one that is damaged counts as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            found = {}
        self._values: dict[str, Any] = found if isinstance(found, dict) else {}

    def get(self, name: str) -> str | None:
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def put(self, name: str, value: str) -> None:
        """Keeps it, whole or not at all."""
        self._values[name] = value
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        partial.write_text(json.dumps(self._values, indent=1))
        partial.replace(self._path)


def name_of(server: str, user: str, manuscript: Path) -> str:
    """What a manuscript is remembered by: its bytes and its kind, at a server, for a user."""
    digest = hashlib.sha256(suffix_of(manuscript.name).encode())
    with manuscript.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"{server} {user} {digest.hexdigest()[:32]}"
