"""What a sandboxed program may use, and what it may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds that the kernel keeps.

    Args:
        memory: most bytes of address space.
        cpu_seconds: longest time of the processor; None for a program that is kept running.
        output: largest file that it may write, in bytes; 0 where it writes to pipes alone.
        open_files: most open files.
        processes: most threads and processes, kept where the count is the sandbox's own (see `launcher`).
        fork: whether it may start processes; threads it may always start.
        exhausted: exit statuses by which it says that memory did not suffice.
    """

    memory: int
    cpu_seconds: int | None = None
    output: int = 0
    open_files: int = 64
    processes: int = 256
    fork: bool = False
    exhausted: Sequence[int] = ()


@dataclass(frozen=True)
class FileAccess:
    """Files and folders, with all that is in them, that a program may use beside the system's own libraries.

    Args:
        read: what it may read and execute.
        write: what it may read, write, create and delete.
    """

    read: Sequence[Path] = ()
    write: Sequence[Path] = ()
