"""Reaping of orphans, for `smartvoice up` as the first process of a container that has no init.

Whoever loses its parent there becomes a child of ours, and stays in the table of processes until somebody waits for it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

_PAUSE_SECONDS = 5.0


def zombies(parent: int) -> set[int]:
    """The ids of children of `parent` that have ended and were not waited for (proc(5), `stat`)."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before it may hold anything, also brackets and spaces.
            state, ppid, *_ = stat.read_text(errors="replace").rpartition(")")[2].split()
            if state == "Z" and int(ppid) == parent:
                found.add(int(stat.parent.name))
    return found


async def reap(pause: float = _PAUSE_SECONDS) -> None:
    """Wait for orphans for ever, looking every `pause` seconds.

    asyncio waits at once for what was started here: a child that is still there at a second look is an orphan.
    """
    seen: set[int] = set()
    while True:
        await asyncio.sleep(pause)
        found = zombies(os.getpid())
        for pid in seen & found:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 # it has ended: returns at once
        seen = found
