"""What one measurement is: its rows, and what the processes around it spent meanwhile."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.load.producers import Producer
from bench.load.readers import Tally
from bench.payload import FIRST
from bench.process import Process

BUSY = 0.8
"""A load generator that is busier than this may be what was measured; the row is marked."""
_FULL = 0.9
"""So it is where the generator and Redis, which share a core, are busier than this together."""
_TICK_SECONDS = 0.002


@dataclass
class Row:
    """One server's figures in one workload and pass. `load`: how busy generator and Redis were, on the load's core."""

    workload: str
    server: str
    title: str
    figures: dict[str, float | None]
    number: int = 1
    lost: int = 0
    duplicated: int = 0
    load: dict[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def limited(self) -> bool:
        """Whether the load's core was too busy for the figures to be the server's alone."""
        return self.load.get("generator", 0.0) > BUSY or sum(self.load.values()) > _FULL

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "limited": self.limited}


@dataclass
class Spent:
    """CPU seconds of server, generator and Redis within `seconds` of wall time."""

    seconds: float = 0.0
    server: float = 0.0
    generator: float = 0.0
    redis: float = 0.0

    @property
    def load(self) -> dict[str, float]:
        """Shares of a core, as a row tells them."""
        return {"generator": self.generator / self.seconds, "redis": self.redis / self.seconds}


@contextmanager
def spending(server: Process | None, redis: Process | None = None) -> Iterator[Spent]:
    """Takes what is spent while the context is open; complete when it ends."""

    def now() -> tuple[float, float, float, float]:
        return (
            time.monotonic(),
            server.cpu_seconds if server else 0.0,
            time.process_time(),
            redis.cpu_seconds if redis else 0.0,
        )

    spent = Spent()
    before = now()
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield spent
    finally:
        if collecting:
            gc.enable()
        spent.seconds, spent.server, spent.generator, spent.redis = (
            after - then for after, then in zip(now(), before, strict=True)
        )


class Sending:
    """A steady stream of events, in turn to each of so many users; numbers go on from one call to the next."""

    def __init__(self, producer: Producer, users: int) -> None:
        self._producer = producer
        self._users = users
        self.sent = 0

    async def run(self, rate: float, seconds: float) -> float:
        """Sends `rate` events a second; returns the rate that was really kept."""
        loop = asyncio.get_running_loop()
        begin, before, total = loop.time(), self.sent, round(rate * seconds)
        while (done := self.sent - before) < total:
            due = min(total, int((loop.time() - begin) * rate) + 1)
            for number in range(before + done, before + due):
                self._producer.send(number % self._users, FIRST + number // self._users)
            self.sent = before + due
            self._producer.flush()
            await asyncio.sleep(_TICK_SECONDS)
        return total / (loop.time() - begin)


async def arrived(tally: Tally, events: int, timeout: float) -> bool:
    """Whether so many events have come within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while tally.received < events:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def folder_of(build: Path, workload: str, server: str) -> Path:
    """Where a measurement's processes have their files."""
    return build / "run" / f"{workload}-{server}"
