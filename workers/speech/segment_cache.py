"""Segments whose sound is kept: what was voiced once is not voiced again, whoever asks for the same."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol

from app.core.errors import NotFound
from app.core.projects.quotas import Quotas
from app.core.storage.object_store import Storage
from app.core.storage.paths import segment_path
from workers.audio.flac import packed, unpacked
from workers.audio.pcm import Pcm
from workers.speech.engine import Engine

_NAME_CHARACTERS = 40
_LOOKUPS_AT_ONCE = 16
# Raise this where what is kept would be read differently.
_EDITION = 1


class SegmentCache(Protocol):
    """A place for the sound of segments, by name."""

    async def known(self, names: Iterable[str]) -> set[str]:
        """Which of these are kept."""
        ...

    async def get(self, name: str) -> Pcm | None:
        """The sound of that name; None where it is not kept, or damaged."""
        ...

    async def put(self, name: str, pcm: Pcm) -> None:
        """Keeps a sound. Raises Unavailable."""
        ...


class Spoken(NamedTuple):
    """What a voice is asked to say."""

    text: str
    voice: str
    speed: float = 1.0


def name_of(spoken: Spoken, engine: Engine) -> str:
    """40 hexadecimal digits that differ wherever the sound would: of text, voice, engine and its settings."""
    speed = [] if spoken.speed == 1 else [spoken.speed]
    parts = [_EDITION, engine.name, engine.fingerprint, spoken.voice, spoken.text, *speed]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).hexdigest()[:_NAME_CHARACTERS]


class ProjectSegmentCache:
    """The kept segments of one project: they are its own, and go with it."""

    def __init__(self, store: Storage, user: str, project: str, usage: Quotas) -> None:
        self._store = store
        self._user, self._project = user, project
        self._usage = usage
        self._path = partial(segment_path, user, project)

    async def known(self, names: Iterable[str]) -> set[str]:
        """Which of these are kept: some lookups at once, for a bucket takes its time for each."""
        wanted = list(dict.fromkeys(names))
        found = await _some_at_once([self._has(name) for name in wanted])
        return {name for name, there in zip(wanted, found, strict=True) if there}

    async def get(self, name: str) -> Pcm | None:
        try:
            content = await self._store.get(self._path(name))
            return await asyncio.to_thread(unpacked, content)
        except (NotFound, ValueError):
            return None

    async def put(self, name: str, pcm: Pcm) -> None:
        """Keeps it as long as there is room for the user's; else it is voiced anew where it is wanted again."""
        content = await asyncio.to_thread(packed, pcm)
        if await self._usage.add_segment(self._user, self._project, len(content)):
            await self._store.put(self._path(name), content)

    def _has(self, name: str) -> Callable[[], Awaitable[bool]]:
        return lambda: self._store.has(self._path(name))


async def _some_at_once(calls: list[Callable[[], Awaitable[bool]]]) -> list[bool]:
    limit = asyncio.Semaphore(_LOOKUPS_AT_ONCE)

    async def limited(call: Callable[[], Awaitable[bool]]) -> bool:
        async with limit:
            return await call()

    return list(await asyncio.gather(*(limited(call) for call in calls)))
