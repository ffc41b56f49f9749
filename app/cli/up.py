"""`smartvoice up`: everything on one machine, watched over: what dies is started anew, Ctrl-C stops it all."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.console import Console

from app.auth.accounts import check_name
from app.cli import child_command, embedded_redis, file_modes, orphan_reaper
from app.cli.health_checks import HealthWatch
from app.cli.health_probe import is_ok
from app.cli.instance_lock import Busy, alone
from app.cli.redis_process import RedisProcess
from app.core.addresses import address_of, bound
from app.core.aio import cancel_and_wait
from app.core.errors import Problem
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.status.exposition import health_of
from app.core.telemetry.logs import configure_logs

_STOP_SECONDS = 20.0
_READY_SECONDS = 60.0
_FIRST_PAUSE = 0.1
_MAX_PAUSE = 5.0
_HEALTHY_SECONDS = 5.0
_TRIES = 5
_ANSWER_SECONDS = 2.0
_PR_SET_PDEATHSIG = 1
_FIRST_PROCESS = 1

console = Console(stderr=True, highlight=False)


@dataclass
class Child:
    """A process that is to run for as long as we do."""

    name: str
    command: list[str]
    output: Path | None = None
    pause: float = _FIRST_PAUSE
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    began: float = 0.0
    served: Callable[[], Awaitable[object]] | None = None
    """Returns once it serves; where that is given, what ends `_TRIES` times before it is given up."""
    given_up: Callable[[int], Exception] = RuntimeError
    """What is raised then."""
    _failures: int = 0

    @property
    def pid(self) -> int | None:
        """The process' id, which is that of its group; None while it does not run."""
        running = self.process is not None and self.process.returncode is None
        return self.process.pid if running and self.process else None

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return asyncio.get_running_loop().time() - self.began

    async def keep_running(self) -> None:
        """Starts it, and starts it again whenever it ends; ever more slowly if it ends at once.

        Raises what `given_up` makes, where it keeps ending before it serves.
        """
        loop = asyncio.get_running_loop()
        while True:
            self.began = loop.time()
            await self.start()
            assert self.process is not None
            status = await self._ended(self.process)
            if self.age > _HEALTHY_SECONDS:
                self.pause = _FIRST_PAUSE
            self.kill()
            if self._failures >= _TRIES:
                raise self.given_up(self._failures)
            console.print(f"[yellow]{self.name} ended with status {status}; starting it again[/]")
            await asyncio.sleep(self.pause)
            self.pause = min(self.pause * 2, _MAX_PAUSE)

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Its exit status; counts how often in a row it has ended before it served."""
        serving = asyncio.ensure_future(self.served()) if self.served else None
        try:
            return await process.wait()
        finally:
            if serving is not None:
                self._failures = 0 if serving.done() else self._failures + 1
                await cancel_and_wait(serving)

    async def start(self) -> None:
        # In a session of its own: Ctrl-C reaches us alone, and we stop things in their order.
        with file_modes.appended(self.output) if self.output else nullcontext() as output:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                umask=file_modes.UMASK,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """The process and all that it started and left behind."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    async def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Tells it to end, and after so many seconds makes it."""
        if self.process is None:
            return
        # To the process alone, which tells its own: Dramatiq takes a second signal for "at once".
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            console.print(f"[yellow]{self.name} does not end; killing it[/]")
        self.kill()
        await self.process.wait()


async def run(settings: Settings, *, user: str, sample: bool) -> int:
    """Runs until Ctrl-C or SIGTERM; the exit status."""
    configure_logs()
    os.umask(file_modes.UMASK)
    try:
        check_name(user)
        with alone(settings):
            return await _run(settings, user, sample)
    except (embedded_redis.NoRedis, Problem, Busy) as error:
        # What stands in brackets is text, and a path is one to copy.
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1


class Stack:
    """All processes of a SmartVoice on this machine; what they print goes to `output`, if it is given."""

    def __init__(self, settings: Settings, output: Path | None = None) -> None:
        self._settings = settings
        self._output = output
        self._keepers: list[tuple[Child, asyncio.Task[None]]] = []
        self._watches: list[asyncio.Task[None]] = []
        self._given_up: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.redis = connect(settings.redis, patient=True)

    async def start(self) -> bool:
        """Starts them, and returns True when the web side can serve. Raises Busy, NoRedis."""
        settings = self._settings
        _check_port(settings)
        settings.signing_key()
        await self._start_redis()
        self._keep(Child("web", child_command.command("web"), self._output))
        for worker in range(1, settings.worker_processes + 1):
            self._keep(Child(f"worker {worker}", child_command.command("worker", "--processes", "1"), self._output))
        watch = HealthWatch(settings, [child for child, _ in self._keepers])
        self._watches.append(asyncio.create_task(watch.run()))
        if os.getpid() == _FIRST_PROCESS:
            self._watches.append(asyncio.create_task(orphan_reaper.reap()))
        return await self.while_kept(_serving(settings))

    async def _start_redis(self) -> None:
        """Returns once a Redis serves, ours or the one that is named."""
        if self._settings.redis_url:
            await _answers(self.redis)
            return
        own = RedisProcess(self._settings)
        answers = partial(_answers, self.redis)
        self._keep(Child("Redis", own.command, self._output, served=answers, given_up=own.given_up))
        await self.while_kept(_answers(self.redis))
        await own.took_over(self.redis)

    async def while_kept(self, work: Coroutine[Any, Any, bool]) -> bool:
        """What `work` returns. Raises NoRedis where the embedded Redis is given up before."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait([task, self._given_up], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._given_up.result()
            return task.result()
        finally:
            await cancel_and_wait(task)

    async def stop(self) -> None:
        """The web side and the workers at once, then Redis, which they need to the last."""
        await self.redis.aclose()
        tasks = [*self._watches, *(task for _, task in self._keepers)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        children = [child for child, _ in self._keepers]
        await asyncio.gather(*(child.stop() for child in children if child.name != "Redis"))
        await asyncio.gather(*(child.stop() for child in children if child.name == "Redis"))
        # Which takes away the sockets of those that were killed.
        await health_of(self._settings)

    def _keep(self, child: Child) -> None:
        keeper = asyncio.create_task(child.keep_running())
        keeper.add_done_callback(self._note_given_up)
        self._keepers.append((child, keeper))

    def _note_given_up(self, keeper: asyncio.Task[None]) -> None:
        if not keeper.cancelled() and (error := keeper.exception()) and not self._given_up.done():
            self._given_up.set_exception(error)
            self._given_up.exception()  # it need not be asked for, where all is being stopped


@asynccontextmanager
async def standing(settings: Settings, output: Path) -> AsyncIterator[str]:
    """The address of a SmartVoice that runs for as long as the context is open. Raises Busy, NoRedis."""
    with alone(settings):
        stack = Stack(settings, output)
        try:
            await stack.start()
            yield local(settings)
        finally:
            await asyncio.shield(stack.stop())


async def _run(settings: Settings, user: str, sample: bool) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    stack = Stack(settings)
    try:
        if await _unless(stopped, stack.start()):
            if status := await _welcome(user, sample=sample):
                return status
            await _unless(stopped, stack.while_kept(_for_ever()))
        return 0
    finally:
        console.print("Stopping …")
        await stack.stop()
        console.print("Stopped.")


async def _unless(stopped: asyncio.Event, work: Coroutine[Any, Any, bool]) -> bool:
    """What `work` returns; False where we are told to stop before."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False
    return task.result()


async def _for_ever() -> bool:
    return await asyncio.Event().wait()


async def _answers(redis: Redis) -> bool:
    while True:
        try:
            await redis.ping()
            return True
        except (RedisError, OSError):
            await asyncio.sleep(0.05)


async def _serving(settings: Settings) -> bool:
    """Returns when the web side can serve; after a minute without that it says where to look, and goes on."""
    loop = asyncio.get_running_loop()
    patience = loop.time() + _READY_SECONDS
    while not await is_ok(local(settings), "/readyz", _ANSWER_SECONDS):
        if loop.time() > patience:
            patience += _READY_SECONDS
            console.print("[yellow]The web side is not ready yet; `smartvoice doctor` tells why.[/]")
        await asyncio.sleep(0.1)
    return True


async def _welcome(user: str, *, sample: bool) -> int:
    """The exit status of `app.cli.first_start`, which has said why where it is not 0."""
    words = [user, *(["--sample"] if sample else [])]
    process = await asyncio.create_subprocess_exec(
        *child_command.python("app.cli.first_start", *words),
        preexec_fn=_die_with_parent,
        stdin=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


def _check_port(settings: Settings) -> None:
    try:
        bound(settings.host, settings.port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            advice = f"Port {settings.port} is in use; choose another: `make run PORT=8001`, or --port."
        else:
            advice = (
                f"Nobody can listen at {settings.host}, port {settings.port}: {error.strerror}; mend SMARTVOICE_HOST."
            )
        raise Busy(advice) from error


def local(settings: Settings) -> str:
    """Where this machine reaches the web side, whatever address the public has."""
    return address_of(settings.host, settings.port)


def _die_with_parent() -> None:
    """Runs in the new process: if we are killed, it is told to end (Linux; elsewhere it stays)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
