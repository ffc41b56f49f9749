"""How much memory there is: the machine's, or the container's where that has less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_MIN_COUNT = 64 * 1024 * 1024


def memory_bytes(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Memory that this process and its like may use in all: of the machine, or by the limit of a control group that it
    is in (Linux, versions 1 and 2)."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(cgroups, own)])


def share_of(share: float) -> int:
    """So much of `memory_bytes`, and what is needed to start at least."""
    return max(_MIN_COUNT, int(memory_bytes() * share))


def _limits(cgroups: Path, own: Path) -> Iterator[int]:
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root, name = cgroups, "memory.max"
        if controllers:
            root, name = cgroups / "memory", "memory.limit_in_bytes"
            if "memory" not in controllers.split(","):
                continue
        folder = root / path.strip("/")
        # Within a container the path may be the host's, which is not there: then its own root has the limit.
        for place in [folder, *folder.parents] if folder.exists() else [root]:
            with suppress(OSError, ValueError):
                yield int((place / name).read_text())
            if place == root:
                break
