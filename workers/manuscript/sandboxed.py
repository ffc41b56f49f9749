"""Running a program on a manuscript in a sandbox, and what its end means for the job."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from asyncio import StreamReader
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from app.core.errors import JobError
from workers.core.shutdown import give_way
from workers.sandbox.exit_status import Cause, Exit
from workers.sandbox.limits import FileAccess, Limits
from workers.sandbox.process import PIPE, start

_COMPLAINT = 300  # bytes
_CHUNK = 64 * 1024
_TRIES = 2


@dataclass(frozen=True)
class Program:
    """What is run: its command, its longest time in seconds, its limits, and what it can see beside the system."""

    command: Sequence[str]
    seconds: float
    limits: Limits
    access: FileAccess = field(default_factory=FileAccess)


async def run(program: Program, folder: Path, output: Path) -> None:
    """Runs `program` in `folder`; what it prints is in `output`, also in that folder.

    Raises JobError: `conversion_failed` where it says so, `conversion_timeout` where it takes too long,
    `conversion_too_large` where it prints too much or lacks memory, `conversion_crashed` where it crashed twice, and
    `conversion_killed`, which is tried again, where it was killed from outside.
    """
    for _ in range(_TRIES):
        exit, said = await _once(program, folder, output)
        if exit.cause is not Cause.CRASHED:
            break
    if exit.cause is Cause.KILLED:
        await give_way()
    if exit.cause is not Cause.FINISHED:
        raise _error(exit, said, program)


async def _once(program: Program, folder: Path, output: Path) -> tuple[Exit, str]:
    """How it ended, and what it had to say against it."""
    with _new(output) as file:
        process = await start(
            program.command, limits=program.limits, folder=folder, access=program.access, stdout=file, stderr=PIPE
        )
    said = ""
    try:
        async with asyncio.timeout(program.seconds):
            said = await _complaint(process.stderr)
            exit = await process.wait()
    except TimeoutError:
        exit = await process.end(Cause.TIME)
    finally:
        await process.end()
    return _judged(exit, output, program.limits), said


def _new(file: Path) -> BinaryIO:
    """A file, and not what a program before this one may have put in its place."""
    file.unlink(missing_ok=True)
    return file.open("xb")


def produced(file: Path, longest: int) -> bytes:
    """What a program wrote to `file`, at most so many bytes, and never what a link of its making leads to.

    Raises JobError (`conversion_failed`).
    """
    try:
        with open(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as content:
            status = os.fstat(content.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_size <= longest:
                return content.read(longest)
    except OSError as error:
        raise JobError("conversion_failed", "The converter left no file.") from error
    raise JobError("conversion_failed", "The converter left a file of another kind.")


def _judged(exit: Exit, output: Path, limits: Limits) -> Exit:
    """Who heeds no signal when the output is as large as it may be was refused the next byte."""
    if exit.cause is Cause.FAILED and output.stat().st_size >= limits.output:
        return Exit(Cause.OUTPUT, exit.status, exit.usage)
    return exit


def _error(exit: Exit, said: str, program: Program) -> JobError:
    match exit.cause:
        case Cause.TIME:
            return JobError("conversion_timeout", f"The file took more than {program.seconds:g} s to convert.")
        case Cause.OUTPUT:
            return JobError("conversion_too_large", f"The file's text is larger than {program.limits.output} bytes.")
        case Cause.MEMORY:
            return JobError("conversion_too_large", "The file needs more memory to convert than is allowed.")
        case Cause.CRASHED:
            return JobError("conversion_crashed", f"The converter crashed on this file, twice ({_signal(exit)}).")
        case Cause.KILLED:
            message = f"The converter was ended from outside ({_signal(exit)}); the machine may lack memory."
            return JobError("conversion_killed", message, retryable=True)
        case _:
            return JobError("conversion_failed", f"The file could not be converted: {said or f'status {exit.status}'}")


def _signal(exit: Exit) -> str:
    return signal.Signals(-exit.status).name


async def _complaint(stream: StreamReader | None) -> str:
    """The first line of what it has to say against it, which is read to its end lest it blocks."""
    assert stream is not None, "started with a pipe"
    head = b""
    while chunk := await stream.read(_CHUNK):
        head = head or chunk[:_COMPLAINT]
    return head.decode("utf-8", errors="replace").strip().partition("\n")[0]
