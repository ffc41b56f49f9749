"""A voice process as its worker sees it: started, asked, and ended. All of it blocks, and belongs into a thread."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.core.errors import JobError
from app.core.settings import Settings
from workers.sandbox import python_modules
from workers.sandbox.exit_status import Cause, Usage, exit_of
from workers.sandbox.limits import FileAccess, Limits
from workers.sandbox.process import launch
from workers.voice import voice_program
from workers.voice.voice_program import ERROR, HEADER, JSON, SOUND

Ending = Literal["crashed", "timeout", "killed", "idle"]
"""Why a voice process ended: by its own fault, by our bound on a call, by somebody else, or by itself after a rest."""

# Memory of this size is used again; more would be new from the system at each read, which costs more than the copying.
_READ_BYTES = 1 << 16
_MAX_JSON = 4 << 20
_MAX_SOUND = 256 << 20  # bytes of one call's sound: more than any text of a segment takes
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_MAX_CODE, _MAX_MESSAGE = 40, 500  # characters
_REAP_SECONDS = 10.0
_ENDINGS: dict[Cause, Ending] = {Cause.FINISHED: "idle", Cause.KILLED: "killed"}
# Where memory runs out, the kernel is to end a voice before its worker, which has other people's jobs.
_OOM_SCORE = "500"


@dataclass(frozen=True)
class VoiceProgram:
    """What a voice process runs, and its bounds.

    Args:
        speaker: the file or the module that has `open_speaker` (see `workers.voice.voice_program`).
        options: what that is given.
        light: whether it needs the standard library alone; then nothing else is importable.
        memory: most bytes of its addresses.
        readable: files and folders that it needs, beside Python and our packages.
        seconds: the longest time of one call.
        idle: seconds after which a process that nobody asks ends.
        environment: its environment variables; it has no others.
    """

    speaker: str
    options: Mapping[str, Any]
    light: bool
    seconds: float
    idle: float
    memory: int
    readable: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def adapted(
    settings: Settings,
    make: str,
    given: Mapping[str, Any],
    *,
    readable: Sequence[Path] = (),
    defaults: Mapping[str, str] | None = None,
) -> VoiceProgram:
    """The program that runs an engine as it is written for a worker: what `make` (`module:function`) makes.

    It is `given` some settings, and the environment variables and files that the operator names; `readable` are others.
    `defaults`: the voice of each language, where the engine chooses as `choose_voice` does.
    """
    logs = {"log_format": settings.log_format}
    return VoiceProgram(
        "workers.voice.engine_adapter",
        {"make": make, "settings": {**given, **logs}, "defaults": defaults},
        light=False,
        seconds=settings.voice_seconds,
        idle=settings.voice_idle_seconds,
        memory=settings.voice_memory_bytes,
        readable=(*_importable(), *readable, *settings.voice_files),
        environment={name: os.environ[name] for name in settings.voice_variables if name in os.environ},
    )


class VoiceDied(Exception):
    """The process ended before it had answered; `used` is whether it had spoken a text before."""

    def __init__(self, ending: Ending, used: bool, detail: str) -> None:
        super().__init__(f"the voice process ended: {detail}")
        self.ending = ending
        self.used = used


class VoiceProcess:
    """One voice process. It answers one request at a time; only `kill` may be called from elsewhere meanwhile."""

    def __init__(self, program: VoiceProgram, folder: Path) -> None:
        """Starts it in `folder`, which is empty. From a thread that lasts as long as it may. Raises OSError."""
        self._program = program
        self._popen = _started(program, folder)
        self._timed_out = False
        self._answered = self._used = False
        self._ending = threading.Lock()
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        os.set_blocking(self._in, False)
        with suppress(OSError, ImportError):
            # Sound in few large steps: each one wakes a thread of the worker.
            _widen(self._out)
        self._unsent = voice_program.json_frame(JSON, _config(program))
        self._received = bytearray()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def answered(self) -> bool:
        """Whether it has answered anything yet."""
        return self._answered

    def alive(self) -> bool:
        return self._popen.poll() is None

    def ask(self, request: Mapping[str, Any]) -> tuple[Any, bytes]:
        """The result of a request, and its sound. Raises JobError, VoiceDied; after the latter it is of no use."""
        deadline = time.monotonic() + self._program.seconds
        try:
            self._send(self._unsent + voice_program.json_frame(JSON, request), deadline)
            self._unsent = b""
            found = self._reply(deadline)
            self._used = self._used or request["ask"] == "speak"
            return found
        except TimeoutError:
            self._timed_out = True
            self.kill()
            raise self._died() from None
        except (EOFError, OSError, ValueError, LookupError, TypeError) as error:
            raise self._died() from error

    def kill(self) -> None:
        """Ends it at once; who waits for its answer gets VoiceDied. From any thread, at any time."""
        with self._ending:
            if self._popen.poll() is None:
                # With whatever it started.
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._popen.pid, signal.SIGKILL)
                self._popen.kill()

    def close(self) -> None:
        """Ends it, and leaves nothing behind."""
        self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(_REAP_SECONDS)

    def _send(self, data: bytes, deadline: float) -> None:
        left = memoryview(data)
        while left:
            _wait(self._in, select.POLLOUT, deadline)
            left = left[os.write(self._in, left) :]

    def _reply(self, deadline: float) -> tuple[Any, bytes]:
        sound, size = [], 0
        while True:
            kind, content = self._frame(deadline)
            if kind == SOUND:
                sound.append(content)
                size += len(content)
                if size > _MAX_SOUND:
                    raise ValueError("too much sound")
                continue
            self._answered = True
            if kind == JSON:
                return json.loads(content), b"".join(sound)
            raise _job_error(json.loads(content))

    def _frame(self, deadline: float) -> tuple[bytes, bytes]:
        """Raises TimeoutError, EOFError, OSError; ValueError for what is no frame."""
        kind, size = HEADER.unpack(self._take(HEADER.size, deadline))
        if kind not in (JSON, SOUND, ERROR) or size > _MAX_JSON:
            raise ValueError("not a frame")
        return kind, self._take(size, deadline)

    def _take(self, size: int, deadline: float) -> bytes:
        while len(self._received) < size:
            _wait(self._out, select.POLLIN, deadline)
            if not (read := os.read(self._out, _READ_BYTES)):
                raise EOFError
            self._received += read
        with memoryview(self._received) as received:
            found = bytes(received[:size])
        del self._received[:size]
        return found

    def _died(self) -> VoiceDied:
        """Why, once it has ended; one that sends nonsense is ended."""
        try:
            status = self._popen.wait(0.5)
        except subprocess.TimeoutExpired:
            self.kill()
            self._popen.wait(_REAP_SECONDS)
            status = 1
        if self._timed_out:
            return VoiceDied("timeout", self._used, f"no answer within {self._program.seconds:g} s")
        ending = _ENDINGS.get(exit_of(status, Usage(), _limits(self._program)).cause, "crashed")
        return VoiceDied(ending, self._used, f"status {status}")


def _started(program: VoiceProgram, folder: Path) -> subprocess.Popen[bytes]:
    if program.light:
        files = [os.path.realpath(sys.executable), "-I", "-S", voice_program.__file__]
        readable = (*python_modules.standard(), Path(voice_program.__file__).parent)
    else:
        files, readable = python_modules.command(voice_program.__name__), python_modules.readable()
    access = FileAccess(read=(*readable, *program.readable))
    popen = subprocess.Popen(
        launch(files, _limits(program), folder, access, program.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # A light one has nothing to say but that it crashed, which its status tells.
        stderr=subprocess.DEVNULL if program.light else None,
        env={},
        bufsize=0,
    )
    with suppress(OSError):
        Path(f"/proc/{popen.pid}/oom_score_adj").write_text(_OOM_SCORE)
    return popen


def _limits(program: VoiceProgram) -> Limits:
    return Limits(memory=program.memory)


def _config(program: VoiceProgram) -> dict[str, Any]:
    path = [] if program.light else [str(folder) for folder in _importable()]
    return {"speaker": program.speaker, "options": program.options, "idleSeconds": program.idle, "path": path}


def _importable() -> list[Path]:
    """Where this process finds packages; not the folder around ours, which may have data in it."""
    around = Path(__file__).parents[2]
    return [Path(folder) for folder in sys.path if os.path.isabs(folder) and Path(folder) != around]


def _widen(pipe: int) -> None:
    import fcntl

    if sys.platform == "linux":
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)


def _wait(fd: int, event: int, deadline: float) -> None:
    """Returns once `fd` is ready. Raises TimeoutError."""
    poll = select.poll()
    poll.register(fd, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def _job_error(told: Any) -> JobError:
    """The error that a voice process tells of; nothing that it says is taken on trust."""
    code, message, retry_after = str(told["code"]), str(told["message"]), told["retryAfter"]
    if not code.isidentifier() or len(code) > _MAX_CODE:
        code = "engine_failed"
    pause = float(retry_after) if isinstance(retry_after, int | float) else None
    return JobError(code, message[:_MAX_MESSAGE], retryable=bool(told["retryable"]), retry_after=pause)
