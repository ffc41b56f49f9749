"""Landlock: of all files, only those that are named can be opened (kernel 5.13 and later; landlock(7)).

Later versions of its interface (ABI) also restrict truncation, devices, TCP, signals, and sockets with and without a
place in the file system; each is used where it is there.
"""

from __future__ import annotations

import os
import stat
import struct

from workers.sandbox import kernel

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_TRUNCATE = 1 << 14
_FIRST_RIGHTS = (1 << 13) - 1
# Rights to files, and the ABI that brought each: moving between folders, truncating, ioctl of devices, named sockets.
_LATER_RIGHTS = ((2, 1 << 13), (3, _TRUNCATE), (5, 1 << 15), (9, 1 << 16))
_TCP_ABI, _TCP = 4, 0b11  # bind and connect
_SCOPE_ABI, _SCOPES = 6, 0b11  # abstract sockets and signals

_READ = _READ_FILE | _READ_DIR | _EXECUTE
_WRITE = _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE


def version() -> int:
    """The version of the kernel's interface; 0 where there is none."""
    try:
        return kernel.syscall(_CREATE_RULESET, 0, 0, _ASK_VERSION)
    except OSError:
        return 0


def ruleset(read: list[str], write: list[str]) -> int | None:
    """A file descriptor of rules that allow these paths, and all beneath them; None where there is no Landlock.

    Paths that cannot be opened are left out.
    """
    abi = version()
    if not abi:
        return None
    rights = _FIRST_RIGHTS
    for since, right in _LATER_RIGHTS:
        rights |= right if abi >= since else 0
    attributes = struct.pack("=QQQ", rights, _TCP if abi >= _TCP_ABI else 0, _SCOPES if abi >= _SCOPE_ABI else 0)
    try:
        rules = kernel.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    except OSError:
        return None
    try:
        for allowed, paths in ((_READ, read), (_WRITE, write)):
            for path in paths:
                _allow(rules, path, allowed & rights)
    except OSError:  # a filter lets rules be made and not filled
        os.close(rules)
        return None
    return rules


def restrict(rules: int) -> None:
    """From here on the process can open what `rules` allow, and nothing else. Needs `no_new_privs`."""
    kernel.syscall(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, allowed: int) -> None:
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(file).st_mode):
            allowed &= _OF_A_FILE
        kernel.syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", allowed, file), 0)
    finally:
        os.close(file)
