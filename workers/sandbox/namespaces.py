"""Namespaces of its own for a process, where the kernel lets anybody have them (user_namespaces(7))."""

from __future__ import annotations

import os
import struct

from workers.sandbox import kernel

_NEW_USER, _NEW_NETWORK, _NEW_IPC, _NEW_UTS = 0x10000000, 0x40000000, 0x08000000, 0x04000000
_PR_CAPBSET_DROP = 24
_CAPSET = {"x86_64": 126, "aarch64": 91}  # the number of capset(2)
_CAPABILITY_VERSION_3 = 0x20080522
_CAPABILITIES = 64
_OWN_COUNTS = (5, 14)


def enter() -> list[str]:
    """Moves this process into namespaces of its own; the names of those that it got.

    No user is mapped into the user namespace: the process needs no name in it, and has no power outside.
    """
    entered = []
    for name, flag in (("user", _NEW_USER), ("network", _NEW_NETWORK), ("ipc", _NEW_IPC | _NEW_UTS)):
        try:
            kernel.unshare(flag)
        except OSError:
            continue
        entered.append(name)
    return entered


def counts_processes() -> bool:
    """Whether a user namespace has a count of processes of its own (since Linux 5.14)."""
    numbers = os.uname().release.split("-")[0].split(".")
    return all(part.isdigit() for part in numbers[:2]) and tuple(map(int, numbers[:2])) >= _OWN_COUNTS


def drop_capabilities() -> None:
    """Gives up all capabilities, and what an executed file could give back."""
    for capability in range(_CAPABILITIES):
        try:
            kernel.prctl(_PR_CAPBSET_DROP, capability)
        except OSError:
            break
    if number := _CAPSET.get(kernel.MACHINE):
        kernel.syscall(number, struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), bytes(24))
