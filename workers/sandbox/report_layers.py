"""Says which layers a sandbox has on this machine, and what to do about those that it lacks: `python -m …examine`.

Prints a sentence or two; exit status 1 where programs do not run in the sandbox, or where nothing keeps what is ours
from them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from workers.sandbox import kernel, python_modules
from workers.sandbox.limits import FileAccess, Limits
from workers.sandbox.process import launch

_SECONDS = 30.0
_LIMITS = Limits(2 * 1024**3, cpu_seconds=20)
_NAMESPACES = (
    "no namespaces: allow unprivileged user namespaces (`user.max_user_namespaces`, on Debian "
    "`kernel.unprivileged_userns_clone`, on Ubuntu `kernel.apparmor_restrict_unprivileged_userns`, in a container its "
    "seccomp profile, in a unit `RestrictNamespaces`)"
)
_ADVICE = {
    "landlock": "no Landlock: it needs Linux 5.13, and `landlock` among the kernel's `lsm=`",
    "seccomp": "no filter of system calls: the kernel has none, or this machine's calls are not known "
    f"({kernel.MACHINE or '32 bits'})",
    "user namespace": _NAMESPACES,
    "network namespace": _NAMESPACES,
    "ipc namespace": _NAMESPACES,
}
_ROOT = (
    "no user id of their own, though this is root: others cannot reach Python or SmartVoice where they lie, or the "
    "capabilities chown, dac_override, setgid and setuid are not all there; run it as a user of its own, or elsewhere"
)
_GUARDS = {"landlock", "user namespace", "uid"}
"""Layers of which one is enough to keep what lies in our processes' memory and environment from a program."""


class Broken(Exception):
    """A program does not run in the sandbox; the message says what it printed."""


def layers_of(command: list[str], access: FileAccess) -> list[str]:
    """The layers in which `command` runs. Raises Broken where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        line = launch(command, _LIMITS, Path(folder), access, {})
        place = line.index("--")
        done = subprocess.run(
            [*line[:place], "report=1", *line[place:]],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
        )
    if done.returncode:
        raise Broken(
            f"{Path(command[0]).name} ends with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"
        )
    return done.stdout.decode().partition("\n")[0].split(",")


def advice(layers: set[str], *, root: bool) -> list[str]:
    """What to do about each layer that is not there."""
    missing = [text for layer, text in _ADVICE.items() if layer not in layers]
    if root and "uid" not in layers:
        missing.append(_ROOT)
    return list(dict.fromkeys(missing))


def main() -> int:
    """Prints what was found; the exit status."""
    try:
        found = layers_of(
            python_modules.command("workers.sandbox.python_modules"), FileAccess(python_modules.readable())
        )
    except (Broken, OSError, subprocess.TimeoutExpired) as error:
        print(f"programs do not run in it ({error})")
        return 1
    if not kernel.LINUX:
        print("bounds of time, output and files alone: this system has none of Linux' layers")
        return 0
    layers = {layer for layer in found if layer}
    missing = advice(layers, root=os.geteuid() == 0)
    print(f"bounds, {', '.join(sorted(layers))}" + (f". Missing: {'; '.join(missing)}." if missing else ""))
    return 0 if layers & _GUARDS else 1


if __name__ == "__main__":
    sys.exit(main())
