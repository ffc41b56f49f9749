"""Starting a program in a sandbox, speaking with it over pipes, and ending it.

The child is not asyncio's: it is waited for here, as `wait4` alone tells what it used, and it is started by
posix_spawn, at once, so that no cancellation comes between its start and its being known.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio import BaseTransport, StreamReader, StreamReaderProtocol, StreamWriter
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import fields
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import BinaryIO

from workers.sandbox.exit_status import Cause, Exit, Usage, exit_of
from workers.sandbox.limits import FileAccess, Limits

__all__ = ["DEVNULL", "PIPE", "Process", "launch", "start"]

_PACKAGES = Path(__file__).parents[2]
_LAUNCH = "import sys; sys.path.append(sys.argv.pop(1)); from workers.sandbox.launcher import run; run()"
_NUMBERS = [field.name for field in fields(Limits) if field.name != "exhausted"]
_POLL_SECONDS = 0.02
_KILOBYTE = 1024 if sys.platform == "linux" else 1  # the unit of ru_maxrss

Output = int | BinaryIO
"""`PIPE`, `DEVNULL`, or an open file."""


class Process:
    """A program that was started. `stdin`, `stdout` and `stderr` are there where they are pipes."""

    def __init__(
        self,
        pid: int,
        limits: Limits,
        stdin: StreamWriter | None = None,
        stdout: StreamReader | None = None,
        stderr: StreamReader | None = None,
        pipes: Sequence[_Pipe] = (),
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._pipes = pipes
        self._limits = limits
        # What was known as this process' memory before the program was executed counts as the program's (getrusage(2)).
        self._our_memory = getrusage(RUSAGE_SELF).ru_maxrss
        self._stopped_for: Cause | None = None
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[Exit] = self._loop.create_future()
        self._watch()

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> Exit:
        """Returns when it has ended."""
        return await asyncio.shield(self._ended)

    def kill(self, cause: Cause = Cause.STOPPED) -> None:
        """Ends it with all that it started, for `cause`; nothing happens where it has ended."""
        if self._ended.done():
            return
        self._stopped_for = self._stopped_for or cause
        self._kill_group()

    async def end(self, cause: Cause = Cause.STOPPED) -> Exit:
        """Kills it, waits until it has ended, and closes its pipes: what was not read is not read any more."""
        self.kill(cause)
        exit = await self.wait()
        for pipe in self._pipes:
            await pipe.close()
        return exit

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # It has not begun a session of its own yet, or (macOS) nothing but its remains are there.
            with suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        """Has `_reap` called when it has ended."""
        try:
            handle = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self._loop.call_later(_POLL_SECONDS, self._poll)
            return

        def ended() -> None:
            self._loop.remove_reader(handle)
            os.close(handle)
            self._reap()

        self._loop.add_reader(handle, ended)

    def _poll(self) -> None:
        """Where the system tells of no end by a file descriptor."""
        if not self._reap(os.WNOHANG):
            self._loop.call_later(_POLL_SECONDS, self._poll)

    def _reap(self, options: int = 0) -> bool:
        if not options:
            # While it is not waited for, its number is its own: nothing of its group is left.
            self._kill_group()
        try:
            pid, status, used = os.wait4(self.pid, options)
        except ChildProcessError:
            self._ended.set_result(Exit(self._stopped_for or Cause.KILLED, -signal.SIGKILL))
            return True
        if not pid:
            return False
        memory = used.ru_maxrss * _KILOBYTE if used.ru_maxrss > self._our_memory else 0
        usage = Usage(used.ru_utime + used.ru_stime, memory)
        found = exit_of(os.waitstatus_to_exitcode(status), usage, self._limits)
        if self._stopped_for and found.status == -signal.SIGKILL:
            found = Exit(self._stopped_for, found.status, usage)
        self._ended.set_result(found)
        return True


async def start(
    command: Sequence[str],
    *,
    limits: Limits,
    folder: Path,
    access: FileAccess | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: int = DEVNULL,
    stdout: Output = DEVNULL,
    stderr: Output = DEVNULL,
) -> Process:
    """Starts `command` in `folder`, in a session of its own; with this process, and with this thread, it ends.

    `command[0]` is an absolute path. The program has no environment but `environment`. `folder` becomes its own where
    it has a user id of its own; what it may do there, `access` says. Call this on the thread of the event loop.
    Raises OSError where nothing could be started; a command that cannot be executed is exit status 125.
    """
    words = launch(command, limits, folder, access or FileAccess(), environment or {})
    with ExitStack() as given, ExitStack() as kept:
        ends = _Ends(given, kept)
        theirs_in, ours_in = await ends.input(stdin)
        theirs_out, ours_out = await ends.output(stdout)
        theirs_err, ours_err = await ends.output(stderr)
        handed = [_handed(number, theirs) for number, theirs in enumerate((theirs_in, theirs_out, theirs_err))]
        pid = os.posix_spawn(  # noqa: ASYNC221 # returns at once; see above
            sys.executable, words, {}, file_actions=handed
        )
        kept.pop_all()
    return Process(pid, limits, ours_in, ours_out, ours_err, ends.pipes)


class _Pipe(StreamReaderProtocol):
    """Our end of a pipe."""

    def __init__(self, reader: StreamReader) -> None:
        super().__init__(reader)
        self._transport_of_pipe: BaseTransport | None = None
        self._lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: BaseTransport) -> None:
        self._transport_of_pipe = transport
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._lost.set_result(None)

    def abandon(self) -> None:
        """Closes it soon."""
        if self._transport_of_pipe is not None:
            self._transport_of_pipe.close()

    async def close(self) -> None:
        """Returns when it is closed."""
        self.abandon()
        await asyncio.shield(self._lost)


class _Ends:
    """The ends of pipes: those in `given` are the child's and closed here, those in `kept` if it does not start."""

    def __init__(self, given: ExitStack, kept: ExitStack) -> None:
        self._given = given
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        self.pipes: list[_Pipe] = []

    async def input(self, place: int) -> tuple[int, StreamWriter | None]:
        """What the child reads from, and what is written into it."""
        if place != PIPE:
            return place, None
        theirs, ours = os.pipe()
        self._given.callback(os.close, theirs)
        pipe = self._pipe(StreamReader())
        transport, protocol = await self._loop.connect_write_pipe(lambda: pipe, os.fdopen(ours, "wb", 0))
        return theirs, StreamWriter(transport, protocol, None, self._loop)

    async def output(self, place: Output) -> tuple[int, StreamReader | None]:
        """What the child writes to, and what it is read from."""
        if not isinstance(place, int):
            return place.fileno(), None
        if place != PIPE:
            return place, None
        ours, theirs = os.pipe()
        self._given.callback(os.close, theirs)
        reader = StreamReader()
        pipe = self._pipe(reader)
        await self._loop.connect_read_pipe(lambda: pipe, os.fdopen(ours, "rb", 0))
        return theirs, reader

    def _pipe(self, reader: StreamReader) -> _Pipe:
        pipe = _Pipe(reader)
        self.pipes.append(pipe)
        self._kept.callback(pipe.abandon)
        return pipe


def _handed(number: int, theirs: int) -> tuple[int, int, int] | tuple[int, int, str, int, int]:
    """What posix_spawn does so that `theirs` is the child's descriptor `number`."""
    if theirs == DEVNULL:
        return os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0
    return os.POSIX_SPAWN_DUP2, theirs, number


def launch(
    command: Sequence[str], limits: Limits, folder: Path, access: FileAccess, environment: Mapping[str, str]
) -> list[str]:
    """The command line that has `workers.sandbox.launcher` become `command`, as a child of this process."""
    words = [f"parent={os.getpid()}", f"folder={folder}"]
    words += [f"{name}={int(getattr(limits, name) or 0)}" for name in _NUMBERS]
    words += [f"read={path}" for path in access.read] + [f"write={path}" for path in access.write]
    words += [f"environment={name}={value}" for name, value in environment.items()]
    return [sys.executable, "-I", "-S", "-c", _LAUNCH, str(_PACKAGES), *words, "--", *command]
