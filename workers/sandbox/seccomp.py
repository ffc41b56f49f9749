"""A filter of system calls (seccomp(2)): what no converter and no voice needs is refused with EPERM.

It lists what is refused, not what is allowed: what a C library calls differs from machine to machine, and no job may
fail for that. What the kernel gained after this list was made is refused as unknown (ENOSYS).
"""

from __future__ import annotations

import errno
import os
import struct

from workers.sandbox import kernel
from workers.sandbox.syscalls import FORKS, NEWEST, NUMBERS, REFUSED

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_REFUSE = _ERRNO | errno.EPERM
_UNKNOWN = _ERRNO | errno.ENOSYS

# Classic BPF: load a word, jump, return.
_LOAD, _IF_EQUAL, _IF_ABOVE, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_X32 = 0x40000000 - 1

_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
_PR_SET_PDEATHSIG = 1
_PR_SET_PTRACER = 0x59616D61
_TIOCSTI, _TIOCLINUX, _TIOCSETD = 0x5412, 0x541C, 0x5423

_Code = list[bytes]


def available() -> bool:
    """Whether the filter is known for this machine's system calls."""
    return kernel.X86_64 or kernel.AARCH64


def install(*, fork: bool) -> None:
    """Has the kernel refuse system calls from here on. Needs `no_new_privs`. Raises OSError."""
    code = b"".join(program(os.getpid(), fork=fork))
    buffer = struct.pack("=H6xQ", len(code) // 8, _address(code))
    kernel.prctl(_PR_SET_SECCOMP, _MODE_FILTER, buffer)


def program(pid: int, *, fork: bool) -> _Code:
    """The filter's instructions, for a process whose number is `pid`."""
    code = [
        _step(_LOAD, _ARCHITECTURE),
        *_unless(_IF_EQUAL, 0xC000003E if kernel.X86_64 else 0xC00000B7, _REFUSE),
        _step(_LOAD, _NUMBER),
        *(_when(_IF_ABOVE, _X32, _REFUSE) if kernel.X86_64 else []),
        *_when(_IF_ABOVE, NEWEST, _UNKNOWN),
        # Its flags lie in memory, where no filter sees them; the C library then takes `clone`.
        *_when(_IF_EQUAL, NUMBERS["clone3"], _UNKNOWN),
    ]
    for name in (*REFUSED, *(() if fork else FORKS)):
        if name in NUMBERS:
            code += _when(_IF_EQUAL, NUMBERS[name], _REFUSE)
    code += _on("clone", 0, _clone(fork=fork))
    for name in ("kill", "tkill", "tgkill", "prlimit64"):
        code += _on(name, 0, [*_when(_IF_EQUAL, pid, _ALLOW), *_when(_IF_EQUAL, 0, _ALLOW), _step(_RETURN, _REFUSE)])
    code += _on("prctl", 0, _neither(_PR_SET_PDEATHSIG, _PR_SET_PTRACER))
    code += _on("ioctl", 1, _neither(_TIOCSTI, _TIOCLINUX, _TIOCSETD))
    return [*code, _step(_RETURN, _ALLOW)]


def _clone(*, fork: bool) -> _Code:
    """Threads, and where it may be processes, but no namespaces."""
    code = _when(_IF_ANY_BIT, _CLONE_NAMESPACES, _REFUSE)
    if not fork:
        code += _unless(_IF_ANY_BIT, _CLONE_THREAD, _REFUSE)
    return [*code, _step(_RETURN, _ALLOW)]


def _neither(*values: int) -> _Code:
    return [step for value in values for step in _when(_IF_EQUAL, value, _REFUSE)] + [_step(_RETURN, _ALLOW)]


def _on(name: str, argument: int, body: _Code) -> _Code:
    """`body` with the lower half of an argument loaded, for one system call; both machines are little-endian."""
    return [
        _step(_IF_EQUAL, NUMBERS[name], 0, len(body) + 1),
        _step(_LOAD, 16 + 8 * argument),
        *body,
    ]


def _when(test: int, value: int, answer: int) -> _Code:
    return [_step(test, value, 0, 1), _step(_RETURN, answer)]


def _unless(test: int, value: int, answer: int) -> _Code:
    return [_step(test, value, 1, 0), _step(_RETURN, answer)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _address(code: bytes) -> int:
    """Where the bytes of `code` lie, for as long as somebody holds it."""
    return kernel.address_of(code)
