"""`smartvoice up` asks what it started how it is, and starts anew what is unfit.

Redis is asked first: as long as it is away, slow or loading its file, the others rightly wait for it and are not
judged. A process is started anew where it was unfit at every look for `watch_seconds`: it did not answer, could not
reach the Redis that we reach, or asked for no more jobs. One at a time, and each ever more seldom: never a storm.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from redis.exceptions import BusyLoadingError, RedisError, ResponseError
from rich.console import Console

from app.cli import embedded_redis
from app.cli.health_probe import is_ok
from app.core.addresses import address_of
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.status.exposition import health_of

console = Console(stderr=True, highlight=False)

_LOOKS = 6
"""Looks within `watch_seconds`."""
_ANSWER_SECONDS = 5.0
_END_SECONDS = 20.0
_STARTING_SECONDS = 60.0
_SLOW_REDIS = 8
"""Times the patience that a Redis has which takes connections and does not answer: its disk may be slow."""
_MAX_PAUSE = 600.0


class WatchedProcess(Protocol):
    """A process that `up` keeps running."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int | None:
        """The process' id, which is that of its group; None while it does not run."""
        ...

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        ...

    async def stop(self, seconds: float) -> None:
        """Tells it to end, and makes it after so many seconds; it is then started anew."""
        ...


@dataclass
class Record:
    """What is known of one child: since when it is unfit, and when it may be started anew (of the loop's clock)."""

    unfit_since: float | None = None
    not_before: float = 0.0
    pause: float = 0.0


@dataclass
class HealthWatch:
    """Looks at the children for ever."""

    settings: Settings
    children: Sequence[WatchedProcess]
    records: dict[str, Record] = field(default_factory=dict)
    _said: str = ""

    async def run(self) -> None:
        """Looks at once and again; a machine that was suspended or starved accuses nobody."""
        loop = asyncio.get_running_loop()
        pause = self.settings.watch_seconds / _LOOKS
        while True:
            began = loop.time()
            await asyncio.sleep(pause)
            if loop.time() - began > 2 * pause + 1:
                self.records = {name: Record(None, r.not_before, r.pause) for name, r in self.records.items()}
                continue
            await self.look()

    async def look(self) -> None:
        """One look at Redis, and at the others if that serves."""
        fault = await redis_fault(self.settings)
        redis = next((child for child in self.children if child.name == "Redis"), None)
        self._say("Redis is loading what it kept" if fault == LOADING else "")
        if redis is not None:
            patience = self.settings.watch_seconds * (_SLOW_REDIS if fault == SLOW else 1)
            # Without its socket it is of no use to anybody, however well it is.
            gone = not embedded_redis.socket_of(self.settings.data_dir).exists()
            starting = redis.age < _ANSWER_SECONDS or fault == LOADING
            await self._judge(redis, "" if starting else fault, 0 if gone else patience)
        if fault:
            for child in self.children:
                if child.name != "Redis":
                    self._record(child).unfit_since = None
            return
        told = groups(await health_of(self.settings))
        for child in self.children:
            if child.name != "Redis":
                await self._judge(child, await self._fault_of(child, told), self.settings.watch_seconds)

    async def _fault_of(self, child: WatchedProcess, told: dict[int, list[str | None]]) -> str:
        if child.pid is None or child.age < min(_STARTING_SECONDS, 4 * self.settings.watch_seconds):
            return ""
        answers = told.get(child.pid, [])
        if None in answers:
            return SILENT
        if wrong := next(filter(None, answers), None):
            return wrong
        # Where it has no socket (somebody has cleared them away) nothing is known, but of the web side.
        return "" if answers or child.name != "web" or await self._serves() else SILENT

    async def _serves(self) -> bool:
        return await is_ok(address_of(self.settings.host, self.settings.port), "/healthz", _ANSWER_SECONDS)

    async def _judge(self, child: WatchedProcess, fault: str, patience: float) -> None:
        """Starts a child anew that has been unfit for long enough, unless that was tried a short while ago."""
        record, now = self._record(child), asyncio.get_running_loop().time()
        if not fault:
            record.unfit_since = None
            if now > record.not_before + record.pause:
                record.pause = 0.0
            return
        if record.unfit_since is None:
            record.unfit_since = now
        if now - record.unfit_since < patience or now < record.not_before:
            return
        record.pause = min(max(2 * record.pause, self.settings.watch_seconds), _MAX_PAUSE)
        console.print(f"[yellow]{child.name} is unfit: {fault}; starting it anew[/]", soft_wrap=True)
        # What answers is given the time to end in good order.
        await child.stop(_ANSWER_SECONDS if fault == SILENT else _END_SECONDS)
        record.unfit_since, record.not_before = None, asyncio.get_running_loop().time() + record.pause

    def _record(self, child: WatchedProcess) -> Record:
        return self.records.setdefault(child.name, Record())

    def _say(self, what: str) -> None:
        """Says something once, until there is something else to say."""
        if what and what != self._said:
            console.print(f"[yellow]{what}; the others wait for it[/]")
        self._said = what


SILENT = "it does not answer"
LOADING, SLOW = "it is loading", "it takes connections and does not answer"


async def redis_fault(settings: Settings) -> str:
    """Why a new client gets no answer from Redis, in words; nothing where it does."""
    if not settings.redis_url and not embedded_redis.socket_of(settings.data_dir).exists():
        return "its socket is gone"
    redis = connect(settings.redis)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await redis.ping()
    except BusyLoadingError:
        return LOADING
    except TimeoutError:
        return SLOW
    except ResponseError as error:
        return LOADING if str(error).startswith("LOADING") else ""  # it answers, whatever it says
    except (RedisError, OSError) as error:
        return SLOW if "imeout" in type(error).__name__ else f"nothing answers ({error})"
    finally:
        await redis.aclose()
    return ""


def groups(told: dict[int, str | None]) -> dict[int, list[str | None]]:
    """What processes say, by the group that they belong to."""
    found: dict[int, list[str | None]] = {}
    for pid, health in told.items():
        with suppress(ProcessLookupError):
            found.setdefault(os.getpgid(pid), []).append(health)
    return found
