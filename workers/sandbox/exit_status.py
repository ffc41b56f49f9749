"""How a program ended: by itself, by one of our bounds, or by somebody else."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum

from workers.sandbox.limits import Limits

_CRASHES = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}
)
# A program that cannot get more memory holds at least this share of what it may have.
_NEARLY_ALL = 0.5


class Cause(Enum):
    """Why a program ended.

    FINISHED: exit status 0.  FAILED: another exit status.  CRASHED: a signal that its own fault raised.
    TIME, OUTPUT, MEMORY: a bound of ours.  STOPPED: we ended it, and not for a bound.
    KILLED: a signal from outside, such as the kernel's when the machine's memory is full, or an operator's.
    """

    FINISHED = "finished"
    FAILED = "failed"
    CRASHED = "crashed"
    TIME = "time"
    OUTPUT = "output"
    MEMORY = "memory"
    STOPPED = "stopped"
    KILLED = "killed"


@dataclass(frozen=True)
class Usage:
    """What a program used: seconds of the processor, and the most bytes of memory at one moment.

    `memory` is 0 where it is not known: where it was less than that of the process which started the program.
    """

    cpu_seconds: float = 0.0
    memory: int = 0


@dataclass(frozen=True)
class Exit:
    """How a program ended; `status` is its exit status, or the negative number of the signal that ended it."""

    cause: Cause
    status: int
    usage: Usage = Usage()


def exit_of(status: int, usage: Usage, limits: Limits) -> Exit:
    """The verdict on a program that ended with `status` and that we did not end."""
    return Exit(_cause(status, usage, limits), status, usage)


def _cause(status: int, usage: Usage, limits: Limits) -> Cause:
    if status == 0:
        return Cause.FINISHED
    if status in limits.exhausted:
        return Cause.MEMORY
    if status > 0:
        return Cause.FAILED
    return _signalled(-status, usage, limits)


def _signalled(number: int, usage: Usage, limits: Limits) -> Cause:
    if number == signal.SIGXFSZ:
        return Cause.OUTPUT
    # Who does not heed SIGXCPU is killed a second later.
    spent = limits.cpu_seconds is not None and usage.cpu_seconds >= limits.cpu_seconds
    if number == signal.SIGXCPU or (number == signal.SIGKILL and spent):
        return Cause.TIME
    if number in _CRASHES:
        return Cause.MEMORY if usage.memory >= limits.memory * _NEARLY_ALL else Cause.CRASHED
    return Cause.KILLED
