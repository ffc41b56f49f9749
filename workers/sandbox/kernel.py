"""Calls of Linux that Python has no function for. Each raises OSError as Python's own do."""

from __future__ import annotations

import ctypes
import os
import sys

LINUX = sys.platform == "linux"
MACHINE = os.uname().machine if LINUX and sys.maxsize > 2**32 else ""
"""As uname(2) names it; empty for programs of 32 bits, whose system calls have other numbers."""

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS = 38
_SIG_DFL, _SIG_IGN = 0, 1


def prctl(option: int, second: int | bytes = 0, third: int | bytes = 0) -> None:
    """prctl(2)."""
    _checked(_libc.prctl(option, _word(second), _word(third), ctypes.c_long(0), ctypes.c_long(0)))


def syscall(number: int, *arguments: int | bytes) -> int:
    """syscall(2); bytes are passed as a pointer to them."""
    return _checked(_libc.syscall(ctypes.c_long(number), *map(_word, arguments)))


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def no_new_privileges() -> None:
    """No program that is executed from here on gets privileges by its file."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_signal(number: int, *, ignored: bool) -> None:
    """Has a signal ignored, or gives it its default action; Python's `signal` takes longer to load than to use."""
    _libc.signal(ctypes.c_int(number), ctypes.c_void_p(_SIG_IGN if ignored else _SIG_DFL))


def _word(argument: int | bytes) -> ctypes.c_long | ctypes.c_char_p:
    return ctypes.c_char_p(argument) if isinstance(argument, bytes) else ctypes.c_long(argument)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def address_of(content: bytes) -> int:
    """Where bytes lie, for as long as somebody holds them."""
    return ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value or 0
