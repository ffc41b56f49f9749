"""Tries from within a sandbox what must not be possible there; prints what was, as a JSON list of names.

Its text is run as a program (`python -c`): `SECRET OUTSIDE PORT SOCKET`, the first two paths of files to read and to
write, the others of servers that listen.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17
_libc = ctypes.CDLL(None, use_errno=True)


def connect(kind: socket.AddressFamily, address: str | tuple[str, int]) -> None:
    with socket.socket(kind, socket.SOCK_STREAM) as client:
        client.connect(address)


def fork() -> None:
    if (pid := os.fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def seize(pid: int) -> None:
    if _libc.ptrace(_PTRACE_SEIZE, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def unshare() -> None:
    if _libc.unshare(0x00020000) < 0:  # CLONE_NEWNS
        raise OSError(ctypes.get_errno(), "unshare")


def session() -> None:
    # Whoever leads a session cannot begin one, and a child of it can.
    if (pid := os.fork()) == 0:
        try:
            os.setsid()
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        raise PermissionError("setsid")


def attempts(secret: str, outside: str, port: str, path: str) -> dict[str, Callable[[], object]]:
    parent = os.getppid()
    return {
        "read a secret": lambda: Path(secret).read_bytes(),
        "write elsewhere": lambda: Path(outside).write_bytes(b"!"),
        "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_bytes(),
        "read the parent's memory": lambda: Path(f"/proc/{parent}/mem").open("rb").close(),
        "connect to loopback": lambda: connect(socket.AF_INET, ("127.0.0.1", int(port))),
        "connect to a socket's file": lambda: connect(socket.AF_UNIX, path),
        "signal the parent": lambda: os.kill(parent, 0),
        "trace the parent": lambda: seize(parent),
        "start a process": fork,
        "leave the session": session,
        "make a namespace": unshare,
    }


def main() -> None:
    done = []
    for name, attempt in attempts(*sys.argv[1:]).items():
        try:
            attempt()
        except OSError:
            continue
        done.append(name)
    print(json.dumps(done))


if __name__ == "__main__":
    main()
