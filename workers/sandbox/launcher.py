"""Puts bounds around its own process and becomes the program: `NAME=VALUE … -- COMMAND …`.

`workers.sandbox.process` starts it: in a child that was forked from a process with threads, Python could set nothing
without the danger of hanging. Each layer is used where the kernel has it; where one is missing, the others hold, and
the program runs. All that this imports is loaded at each start, so it is little.

The names: `parent` (its process id), `folder`, `read` and `write` (paths, any number), `environment` (NAME=VALUE, any
number), and the fields of `workers.sandbox.limits.Limits`. `without` names layers that are left out (any number), and
with `report=1` the names of those that hold are printed. Exit status 125: the command could not be executed.
"""

from __future__ import annotations

import os
import resource
import sys

from workers.sandbox import identity, kernel, landlock, namespaces, seccomp

TYPE_CHECKING = False  # `typing` takes longer to load than all else here
if TYPE_CHECKING:
    from collections.abc import Callable

CANNOT_EXECUTE = 125
SYSTEM = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/ld-musl-x86_64.path",
    "/etc/ld-musl-aarch64.path",
    "/dev/urandom",
    "/dev/zero",
)
"""What programs are made of: the system's libraries, and nothing that says anything about the machine's users."""
_DEVICES = ("/dev/null",)

_SIGHUP, _SIGINT, _SIGPIPE, _SIGTERM, _SIGKILL, _SIGXFSZ = 1, 2, 13, 15, 9, 25
_PR_SET_PDEATHSIG = 1
_MAX_FILES = 4096


class LaunchArguments:
    """The words of the command line."""

    def __init__(self, words: list[str]) -> None:
        end = words.index("--")
        self.command = list(words[end + 1 :])
        self._values: dict[str, list[str]] = {}
        for word in words[:end]:
            name, _, value = word.partition("=")
            self._values.setdefault(name, []).append(value)

    def all(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def number(self, name: str) -> int:
        """Also 0 where nothing was said."""
        return int(self._values.get(name, ["0"])[0])


def run() -> None:
    """What the command line asks for."""
    try:
        become(LaunchArguments(sys.argv[1:]))
    except OSError as error:
        print(f"sandbox: {error}", file=sys.stderr, flush=True)
        os._exit(CANNOT_EXECUTE)


def become(order: LaunchArguments) -> None:
    """Puts the layers around this process and executes the command in it. Raises OSError."""
    _try(os.setsid)
    os.closerange(3, _MAX_FILES)
    os.chdir(order.all("folder")[0])
    _set_signals()
    _bound(order)
    layers = _enclose(order) if kernel.LINUX else []
    if order.number("report"):
        print(",".join(layers), flush=True)
    environment = dict(entry.split("=", 1) for entry in order.all("environment"))
    os.execve(order.command[0], order.command, environment)


def _set_signals() -> None:
    """What Python ignores, the program heeds; and it ends with its worker, not when both are told to end."""
    for number in (_SIGPIPE, _SIGXFSZ):
        kernel.set_signal(number, ignored=False)
    for number in (_SIGHUP, _SIGINT, _SIGTERM):
        kernel.set_signal(number, ignored=True)


def _bound(order: LaunchArguments) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, order.number("output"))
    _limit(resource.RLIMIT_NOFILE, order.number("open_files"))
    if seconds := order.number("cpu_seconds"):
        # At the first it is told by a signal of its own, a second later it is killed.
        _limit(resource.RLIMIT_CPU, seconds, seconds + 1)
    if not _limit(resource.RLIMIT_AS, order.number("memory")):
        # macOS refuses the bound of addresses. What counts there of this one, malloc does not take all from.
        _limit(resource.RLIMIT_DATA, order.number("memory"))


def _limit(kind: int, soft: int, hard: int | None = None) -> bool:
    """Sets a bound; whether this system has it."""
    try:
        resource.setrlimit(kind, (soft, soft if hard is None else hard))
    except (OSError, ValueError):
        return False
    return True


def _enclose(order: LaunchArguments) -> list[str]:
    """Puts all layers around this process; the names of those that hold."""
    folder, without, command = order.all("folder")[0], order.all("without"), order.command[0]
    read = [*SYSTEM, command, os.path.realpath(command), *order.all("read")]
    root = os.getuid() == 0
    # While everything can still be opened.
    rules = None if "landlock" in without else landlock.ruleset(read, [*_DEVICES, *order.all("write")])
    layers = ["uid"] if "uid" not in without and identity.become_other(folder, read) else []
    if "namespaces" not in without:
        layers += [f"{name} namespace" for name in namespaces.enter()]
    # Root's processes are never counted, and elsewhere all those of our own user would be.
    counted = "user namespace" in layers and namespaces.counts_processes() and not root
    if "uid" in layers or counted:
        _limit(resource.RLIMIT_NPROC, order.number("processes"))
        layers.append("process limit")
    _try(namespaces.drop_capabilities)
    # After whatever changes the user, which undoes it, and before the filter, which refuses to undo it.
    _die_with(order.number("parent"))
    return layers + _restrict(rules, "seccomp" not in without, fork=bool(order.number("fork")))


def _restrict(rules: int | None, filtered: bool, *, fork: bool) -> list[str]:
    layers = []
    _try(kernel.no_new_privileges)
    if rules is not None and _try(lambda: landlock.restrict(rules)):
        layers.append("landlock")
    if filtered and seccomp.available() and _try(lambda: seccomp.install(fork=fork)):
        layers.append("seccomp")
    return layers


def _die_with(parent: int) -> None:
    """Has the kernel end this process when its parent ends."""
    _try(lambda: kernel.prctl(_PR_SET_PDEATHSIG, _SIGKILL))
    if os.getppid() != parent:
        os._exit(CANNOT_EXECUTE)


def _try(step: Callable[[], object]) -> bool:
    """Whether a step could be taken: a container or a unit may refuse any call, and the program runs all the same."""
    try:
        step()
    except OSError:
        return False
    return True
