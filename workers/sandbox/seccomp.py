"""A filter of system calls (seccomp(2)): what no converter and no voice needs is refused with EPERM.

It lists what is refused, not what is allowed: what a C library calls differs from machine to machine, and no job may
fail for that. What the kernel gained after this list was made is refused as unknown (ENOSYS).
"""

from __future__ import annotations

import errno
import os
import struct

from workers.sandbox import kernel
from workers.sandbox.syscalls import FORKS, MACHINES, NEWEST, REFUSED

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_REFUSE = _ERRNO | errno.EPERM
_UNKNOWN = _ERRNO | errno.ENOSYS

# Classic BPF: load a word, jump, return.
_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
_PR_SET_PDEATHSIG = 1
_PR_SET_PTRACER = 0x59616D61
_STREAMS = (1, 1 | 0x80000)  # SOCK_STREAM, also with SOCK_CLOEXEC
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423


def available() -> bool:
    """Whether the filter is known for this machine's system calls."""
    return kernel.MACHINE in MACHINES


def install(*, fork: bool) -> None:
    """Has the kernel refuse system calls from here on. Needs `no_new_privs`. Raises OSError."""
    code = b"".join(program(kernel.MACHINE, os.getpid(), fork=fork))
    buffer = struct.pack("=H6xQ", len(code) // 8, _address(code))
    kernel.prctl(_PR_SET_SECCOMP, _MODE_FILTER, buffer)


def program(machine: str, pid: int, *, fork: bool) -> list[bytes]:
    """The filter's instructions on `machine`, for a process whose number is `pid`."""
    architecture, numbers = MACHINES[machine]
    code = [
        _step(_LOAD, _ARCHITECTURE),
        *_unless(_IF_EQUAL, architecture, _REFUSE),
        _step(_LOAD, _NUMBER),
        # Also those of the x32 ABI, which begin at 2**30.
        *_when(_IF_ABOVE, NEWEST, _UNKNOWN),
        # Its flags lie in memory, where no filter sees them; the C library then takes `clone`.
        *_when(_IF_EQUAL, numbers["clone3"], _UNKNOWN),
    ]
    for name in (*REFUSED, *(() if fork else FORKS)):
        if name in numbers:
            code += _when(_IF_EQUAL, numbers[name], _REFUSE)
    code += _on(numbers["clone"], 0, _clone(fork=fork))
    itself = [*_when(_IF_EQUAL, pid, _ALLOW), *_when(_IF_EQUAL, 0, _ALLOW), _step(_RETURN, _REFUSE)]
    for name in ("kill", "tkill", "tgkill", "prlimit64"):
        code += _on(numbers[name], 0, itself)
    # Through a pair of datagram sockets one could send to any path.
    pairs = [step for kind in _STREAMS for step in _when(_IF_EQUAL, kind, _ALLOW)]
    code += _on(numbers["socketpair"], 1, [*pairs, _step(_RETURN, _REFUSE)])
    code += _on(numbers["prctl"], 0, _neither(_PR_SET_PDEATHSIG, _PR_SET_PTRACER))
    code += _on(numbers["ioctl"], 1, _neither(_TIOCSTI, _TIOCLINUX, _TIOCSETD))
    return [*code, _step(_RETURN, _ALLOW)]


def _clone(*, fork: bool) -> list[bytes]:
    """Threads, and where it may be processes, but no namespaces."""
    code = _when(_IF_ANY_BIT, _CLONE_NAMESPACES, _REFUSE)
    if not fork:
        code += _unless(_IF_ANY_BIT, _CLONE_THREAD, _REFUSE)
    return [*code, _step(_RETURN, _ALLOW)]


def _neither(*values: int) -> list[bytes]:
    return [step for value in values for step in _when(_IF_EQUAL, value, _REFUSE)] + [_step(_RETURN, _ALLOW)]


def _on(number: int, argument: int, body: list[bytes]) -> list[bytes]:
    """`body` with the lower half of an argument loaded, for one system call; both machines are little-endian."""
    return [
        _step(_IF_EQUAL, number, 0, len(body) + 1),
        _step(_LOAD, 16 + 8 * argument),
        *body,
    ]


def _when(test: int, value: int, answer: int) -> list[bytes]:
    return [_step(test, value, 0, 1), _step(_RETURN, answer)]


def _unless(test: int, value: int, answer: int) -> list[bytes]:
    return [_step(test, value, 1, 0), _step(_RETURN, answer)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _address(code: bytes) -> int:
    """Where the bytes of `code` lie, for as long as somebody holds it."""
    return kernel.address_of(code)
