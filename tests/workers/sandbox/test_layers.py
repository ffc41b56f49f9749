"""What a sandboxed program can reach, tried from within by real processes; each layer also alone."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.stack import alive
from tests.support import until
from workers.sandbox import landlock, python_modules, seccomp
from workers.sandbox.exit_status import Cause, Exit, Usage, exit_of
from workers.sandbox.limits import FileAccess, Limits
from workers.sandbox.process import PIPE, Process, launch, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux'")

GIB = 1024**3
PROBE = Path(__file__).with_name("sandbox_probe.py")
LAYERS = ("landlock", "seccomp", "namespaces", "uid")
FILES = {"read a secret", "write elsewhere"}
PARENT = {"read the parent's environment", "read the parent's memory"}
OTHERS = {"signal the parent", "trace the parent"}
NETWORK = {"connect to loopback", "connect to a socket's file"}
PROCESSES = {"start a process", "leave the session"}
EVERYTHING = FILES | PARENT | OTHERS | NETWORK | PROCESSES
LIMITS = Limits(GIB, cpu_seconds=60, output=100_000)
# An interpreter that every user may run, as far as there is one: the tests' own may lie in somebody's home.
PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable


@dataclass
class World:
    """Where the program works, and what it is told of: a secret, a file, and two servers."""

    folder: Path
    words: list[str]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("SMARTVOICE_SECRET_KEY", "secret")
    folder, secret, outside, path = (tmp_path / name for name in ("own", "secret.key", "outside", "redis.sock"))
    folder.mkdir()
    for file in (secret, outside):
        file.write_text("secret")
        file.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as loopback, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        path.chmod(0o600)
        unix.listen()
        port = loopback.getsockname()[1]
        yield World(folder, [PROBE.read_text(), str(secret), str(outside), str(port), str(path)])


def possible(command: list[str], folder: Path) -> tuple[set[str], set[str]]:
    """What the launcher says of the layers, and what the probe could do."""
    done = subprocess.run(command, env={}, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    *layers, found = done.stdout.splitlines()
    return {layer for line in layers for layer in line.split(",") if layer}, set(json.loads(found))


def within(world: World, interpreter: str, *, without: Sequence[str] = ()) -> tuple[set[str], set[str]]:
    """`possible` in a sandbox that lacks these layers."""
    read = python_modules.readable() if interpreter == sys.executable else ()
    command = [interpreter, "-I", "-c", *world.words]
    line = launch(command, LIMITS, world.folder, FileAccess(read, [world.folder]), {})
    place = line.index("--")
    return possible([*line[:place], "report=1", *(f"without={one}" for one in without), *line[place:]], world.folder)


@pytest.mark.parametrize("interpreter", sorted({PYTHON, sys.executable}))
def test_nothing_of_ours_can_be_reached_from_within_and_all_of_it_from_without(world: World, interpreter: str) -> None:
    _, free = possible([interpreter, "-I", "-c", *world.words], world.folder)
    assert free >= EVERYTHING - {"trace the parent"}  # which a machine may keep to itself
    layers, found = within(world, interpreter)
    assert not found, layers


@pytest.mark.parametrize(
    ("layer", "prevented"),
    [
        ("landlock", FILES | PARENT),
        ("seccomp", NETWORK | OTHERS | PROCESSES | {"make a namespace"}),
        ("namespaces", PARENT | {"connect to loopback", "trace the parent"}),
        ("uid", FILES | PARENT | OTHERS | {"connect to a socket's file"}),
    ],
)
def test_each_layer_holds_alone(world: World, layer: str, prevented: set[str]) -> None:
    layers, found = within(world, PYTHON, without=[other for other in LAYERS if other != layer])
    names = {"landlock": "landlock", "seccomp": "seccomp", "namespaces": "user namespace", "uid": "uid"}
    if names[layer] not in layers:
        pytest.skip(f"this machine does not offer it; there are {layers}")
    assert not found & prevented
    assert found, "the other layers were left out"


async def ran(
    code: str, folder: Path, *, limits: Limits = LIMITS, interpreter: str = sys.executable
) -> tuple[Exit, bytes]:
    """How a Python program ended, and what it printed."""
    process = await started(code, folder, limits=limits, interpreter=interpreter)
    assert process.stdout is not None
    printed = await process.stdout.read()
    return await process.wait(), printed


async def started(
    code: str, folder: Path, *, limits: Limits = LIMITS, interpreter: str = sys.executable, **more: Any
) -> Process:
    access = FileAccess(python_modules.readable()) if interpreter == sys.executable else None
    return await start(
        [interpreter, "-I", "-c", code], limits=limits, folder=folder, access=access, **{"stdout": PIPE, **more}
    )


async def test_nothing_of_the_parents_environment_and_files_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTVOICE_SECRET_KEY", "secret")
    file = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(file, True)
    code = (
        "import json, os\n"
        "def there(number):\n"
        "    try: return bool(os.fstat(number))\n"
        "    except OSError: return False\n"
        "print(json.dumps([dict(os.environ), [n for n in range(100) if there(n)]]))"
    )
    try:
        _, printed = await ran(code, tmp_path)
    finally:
        os.close(file)
    environment, files = json.loads(printed)
    assert set(environment) <= {"LC_CTYPE"}  # which Python gives itself
    assert files == [0, 1, 2]


async def test_environment_that_is_given_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", "import os; print(os.environ['A'])"]
    access = FileAccess(python_modules.readable())
    process = await start(command, limits=LIMITS, folder=tmp_path, access=access, environment={"A": "b=c"}, stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.read() == b"b=c\n"
    await process.wait()


@pytest.mark.parametrize("interpreters", [(PYTHON, sys.executable), (sys.executable, PYTHON), (PYTHON, PYTHON)])
async def test_one_program_after_the_other_works_in_the_same_folder(
    tmp_path: Path, interpreters: tuple[str, str]
) -> None:
    # Where this is root, each has a user id of its own, or none.
    tmp_path.chmod(0o700)
    (tmp_path / "file").write_text("0")
    (tmp_path / "file").chmod(0o600)
    for interpreter in interpreters:
        access = FileAccess(python_modules.readable() if interpreter == sys.executable else (), [tmp_path])
        code = "text = open('file').read(); open('file', 'w').write(f'{int(text) + 1}')"
        command = [interpreter, "-I", "-c", code]
        process = await start(command, limits=LIMITS, folder=tmp_path, access=access)
        assert (await process.wait()).cause is Cause.FINISHED
    assert (tmp_path / "file").read_text() == "2"


async def test_processes_are_counted_for_each_sandbox(world: World) -> None:
    code = (
        "import os, time\n"
        "started = 0\n"
        "while started < 50:\n"
        "    try: child = os.fork()\n"
        "    except OSError: break\n"
        "    if not child: time.sleep(1000)\n"
        "    started += 1\n"
        "print(started, flush=True)"
    )
    if "process limit" not in within(world, PYTHON)[0]:
        pytest.skip("this machine offers no count of a sandbox's own processes")
    limits = Limits(GIB, cpu_seconds=60, processes=6, fork=True)
    found = await asyncio.gather(*(ran(code, world.folder, limits=limits, interpreter=PYTHON) for _ in range(2)))
    assert [(exit.cause, printed) for exit, printed in found] == [(Cause.FINISHED, b"5\n")] * 2


def test_program_that_is_kept_answers_over_pipes_until_it_is_ended(tmp_path: Path) -> None:
    code = "import sys\nfor line in sys.stdin: print(line[::-1].strip(), flush=True)"

    async def talk() -> Exit:
        process = await started(code, tmp_path, limits=Limits(GIB), stdin=PIPE, stderr=PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"one", b"two" * 10_000):
            process.stdin.write(word + b"\n")
            assert (await process.stdout.readuntil()).strip() == word[::-1]
        os.kill(process.pid, signal.SIGTERM)  # as systemd does to all processes of a service
        process.stdin.write(b"three\n")
        assert await process.stdout.readuntil() == b"eerht\n"
        assert process.exit is None
        return await process.end()

    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(talk()).cause is Cause.STOPPED


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("pass", Cause.FINISHED),
        ("import sys; sys.exit(1)", Cause.FAILED),
        ("import os; os.abort()", Cause.CRASHED),
        ("import ctypes; ctypes.string_at(0)", Cause.CRASHED),
        ("import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", Cause.TIME),
        (
            "import os, signal as s; s.signal(s.SIGXFSZ, s.SIG_DFL); [os.write(1, b'x' * 600) for _ in range(3)]",
            Cause.OUTPUT,
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Cause.KILLED),
    ],
    ids=["well", "status", "abort", "segfault", "busy and deaf", "output", "kill"],
)
async def test_end_is_told_by_its_cause(tmp_path: Path, code: str, cause: Cause) -> None:
    limits = Limits(GIB, cpu_seconds=1, output=1000)
    with (tmp_path / "output").open("wb") as output:
        process = await started(code, tmp_path, limits=limits, stdout=output)
    exit = await process.wait()
    assert exit.cause is cause
    assert exit == process.exit


@pytest.mark.parametrize(
    ("status", "memory", "cause"),
    [
        (-signal.SIGABRT, 0.9, Cause.MEMORY),
        (-signal.SIGSEGV, 0.1, Cause.CRASHED),
        (-signal.SIGKILL, 0.9, Cause.KILLED),
        (-signal.SIGTERM, 0.0, Cause.KILLED),
        (-signal.SIGHUP, 0.0, Cause.KILLED),
        (251, 0.1, Cause.MEMORY),
        (3, 0.9, Cause.FAILED),
    ],
)
def test_lack_of_memory_is_ours_only_where_the_program_used_what_it_may(
    status: int, memory: float, cause: Cause
) -> None:
    limits = Limits(GIB, exhausted=[251])
    assert exit_of(status, Usage(1.0, int(memory * GIB)), limits).cause is cause


async def test_command_that_cannot_be_executed_is_status_125(tmp_path: Path) -> None:
    process = await start([str(tmp_path / "nothing")], limits=LIMITS, folder=tmp_path, stderr=PIPE)
    assert process.stderr is not None
    said, exit = await asyncio.gather(process.stderr.read(), process.wait())
    assert (exit.cause, exit.status) == (Cause.FAILED, 125)
    assert said.startswith(b"sandbox: ")


async def test_program_runs_where_the_machine_refuses_most_layers(tmp_path: Path) -> None:
    # A sandbox in a sandbox: the outer filter refuses a session, namespaces, and being ended with the parent.
    access = FileAccess([*python_modules.readable(), Path(__file__).parents[3]])
    inner = launch([sys.executable, "-I", "-c", "print('runs')"], LIMITS, tmp_path, access, {})
    process = await start(inner, limits=LIMITS, folder=tmp_path, access=access, stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    printed, said = await asyncio.gather(process.stdout.read(), process.stderr.read())
    assert (printed, said, (await process.end()).cause) == (b"runs\n", b"", Cause.FINISHED)


async def test_program_ends_with_whoever_started_it(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from workers.sandbox.limits import Limits\n"
        "from workers.sandbox.process import start\n"
        "async def main():\n"
        f"    command = ['/bin/sleep', '1000']\n"
        f"    process = await start(command, limits=Limits({GIB}), folder=Path({str(tmp_path)!r}))\n"
        "    print(process.pid, flush=True)\n"
        "    await process.wait()\n"
        "asyncio.run(main())"
    )
    root = Path(__file__).parents[3]
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=PIPE, cwd=root)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
    parent.kill()
    await parent.wait()
    await until(lambda: not alive(pid))


ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026


def answered(code: list[bytes], architecture: int, number: int, *arguments: int) -> int:
    """What a filter answers, by the rules of classic BPF."""
    words = {0: number, 4: architecture} | {16 + 8 * place: value for place, value in enumerate(arguments)}
    at = accumulator = 0
    while True:
        instruction, if_true, if_false = (int.from_bytes(code[at][:2], "little"), code[at][2], code[at][3])
        value = int.from_bytes(code[at][4:], "little")
        at += 1
        if instruction == 0x20:
            accumulator = words.get(value, 0)
        elif instruction == 0x06:
            return value
        else:
            test = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}
            at += if_true if test[instruction] else if_false


@pytest.mark.parametrize(
    ("machine", "architecture", "read", "socket_", "clone", "kill"),
    [("x86_64", 0xC000003E, 0, 41, 56, 62), ("aarch64", 0xC00000B7, 63, 198, 220, 129)],
)
def test_filter_answers_on_each_machine(
    machine: str, architecture: int, read: int, socket_: int, clone: int, kill: int
) -> None:
    code, forking = (seccomp.program(machine, 7, fork=fork) for fork in (False, True))
    thread, process, namespace = 0x3D0F00, 0x11, 0x10000011
    expected = {
        (read, 0): ALLOW,
        (socket_, 2): EPERM,
        (435, 0): ENOSYS,
        (900, 0): ENOSYS,
        (0x40000000 + 41, 0): ENOSYS,
        (clone, thread): ALLOW,
        (clone, process): EPERM,
        (clone, namespace): EPERM,
        (kill, 7): ALLOW,
        (kill, 1): EPERM,
    }
    assert {call: answered(code, architecture, *call) for call in expected} == expected
    assert answered(forking, architecture, clone, process) == ALLOW
    assert answered(forking, architecture, clone, namespace) == EPERM
    assert answered(code, 0x40000003, read) == EPERM


def test_landlock_is_found_where_the_kernel_says_so() -> None:
    listed = Path("/sys/kernel/security/lsm")
    if not listed.exists():
        pytest.skip("this system does not list its security modules")
    assert bool(landlock.version()) == ("landlock" in listed.read_text())
