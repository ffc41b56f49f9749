"""Running a program on what somebody sent: with bounds that the system keeps, and nothing of ours to find.

The program gets no environment but what it is given, a folder of its own, a session of its own, and its output goes to
a file. The bounds are set by the shell, before the program begins: Python could only set them in a process forked from
one with threads, which may hang.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from app.core.errors import JobError

_BLOCK = 512  # bytes, in which POSIX has the shell count the size of a file
_FILES = 64
_COMPLAINT = 300  # bytes
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Program:
    """What is run, and its bounds.

    Args:
        seconds: longest time, of the clock as well as of the processor.
        memory: most bytes of addresses.
        output: most bytes that it may print.
        exhausted: the exit status by which it says that it lacks memory.
    """

    command: Sequence[str]
    seconds: float
    memory: int
    output: int
    exhausted: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        bounds = {
            "c": 0,
            "f": -(-self.output // _BLOCK),
            "n": _FILES,
            "t": int(self.seconds) + 1,
            "v": self.memory // 1024,
        }
        limits = " && ".join(f"ulimit -{name} {value}" for name, value in bounds.items())
        return ["/bin/sh", "-c", f'{limits} && exec "$@"', "sh", *self.command]


async def run(program: Program, folder: Path, output: Path) -> None:
    """Runs `program` in `folder`; what it prints is in `output`, also in that folder.

    Raises JobError: `conversion_failed` where it says so, `conversion_timeout` where it takes too long,
    `conversion_too_large` where it prints too much or lacks memory.
    """
    with output.open("wb") as file:
        process = await _started(program, folder, file)
    try:
        async with asyncio.timeout(program.seconds):
            said = await _complaint(process)
            status = await process.wait()
    except TimeoutError:
        status, said = -signal.SIGXCPU, ""
    finally:
        await _end(process)
    if status:
        raise _error(status, said, program)


async def _started(program: Program, folder: Path, output: BinaryIO) -> Process:
    """The process; where this is cancelled, it is ended. asyncio would end the process alone, not what it started."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *program.words,
            stdin=DEVNULL,
            stdout=output,
            stderr=PIPE,
            cwd=folder,
            env=dict(program.environment),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(OSError):  # it could not be started at all
            process = await starting
            await _end(process)
            await _complaint(process)  # to the end, which closes the pipe
        raise


def _error(status: int, said: str, program: Program) -> JobError:
    if status == -signal.SIGXCPU:
        return JobError("conversion_timeout", f"The file took more than {program.seconds:g} s to convert.")
    if status == -signal.SIGXFSZ:
        return JobError("conversion_too_large", f"The file's text is larger than {program.output} bytes.")
    # The system's word for a lack of memory, and that of programs which cannot even say so.
    if status in (program.exhausted, -signal.SIGKILL, -signal.SIGABRT):
        return JobError("conversion_too_large", "The file needs more memory to convert than is allowed.")
    return JobError("conversion_failed", f"The file could not be converted: {said or f'status {status}'}")


async def _complaint(process: Process) -> str:
    """The first line of what it has to say against it, which is read to its end lest it blocks."""
    stream = process.stderr
    assert isinstance(stream, StreamReader), "started with a pipe"
    head = b""
    while chunk := await stream.read(_CHUNK):
        head = head or chunk[:_COMPLAINT]
    return head.decode("utf-8", errors="replace").strip().partition("\n")[0]


async def _end(process: Process) -> None:
    """Nothing of it is left, nor of what it may have started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
