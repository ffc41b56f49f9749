"""A program gets nothing of ours, keeps to its bounds, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import JobError
from tests.stack import alive, command_of
from tests.support import until
from workers.manuscript.sandboxed import Program, produced, run
from workers.sandbox import python_modules as packages
from workers.sandbox.limits import FileAccess, Limits

GIB = 1024**3


def python(code: str, seconds: float = 30.0, *, write: Sequence[Path] = (), **limits: Any) -> Program:
    command = [sys.executable, "-I", "-c", code]
    bounds = {"memory": GIB, "cpu_seconds": int(seconds) + 1, "output": 100_000, "exhausted": [3], **limits}
    return Program(command, seconds, Limits(**bounds), FileAccess(packages.readable(), write))


async def printed(tmp_path: Path, program: Program) -> str:
    await run(program, tmp_path, tmp_path / "output")
    return (tmp_path / "output").read_text()


async def failure(tmp_path: Path, program: Program) -> str:
    with pytest.raises(JobError) as caught:
        await run(program, tmp_path, tmp_path / "output")
    return caught.value.code


async def test_program_finds_no_environment_a_folder_of_its_own_and_its_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTVOICE_SECRET_KEY", "secret")
    code = (
        "import json, os, resource as r, sys\n"
        "kinds = [r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE, r.RLIMIT_CORE]\n"
        "print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read(),"
        " [r.getrlimit(kind)[1] for kind in kinds]]))"
    )
    environment, folder, leads, given, limits = json.loads(await printed(tmp_path, python(code)))
    assert set(environment) <= {"LC_CTYPE"}  # which Python gives itself
    assert (Path(folder), leads, given) == (tmp_path, True, "")
    assert limits == [GIB, 32, 100_000, 64, 0]


async def test_output_without_end_is_cut_off(tmp_path: Path) -> None:
    # As programs are that do not heed the signal for it, which Python does.
    code = "import os, signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nwhile True: os.write(1, b'x' * 10_000)"
    assert await failure(tmp_path, python(code)) == "conversion_too_large"
    assert (tmp_path / "output").stat().st_size <= 100_000


async def test_memory_without_end_is_refused(tmp_path: Path) -> None:
    code = "import sys\ntry: bytes(2 << 30)\nexcept MemoryError: sys.exit(3)"
    assert await failure(tmp_path, python(code)) == "conversion_too_large"
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(1000)"], ids=["busy", "idle"])
async def test_time_without_end_is_ended(tmp_path: Path, code: str) -> None:
    assert await failure(tmp_path, python(code, seconds=0.5)) == "conversion_timeout"


async def test_time_of_the_processor_is_bounded_by_the_system(tmp_path: Path) -> None:
    assert await failure(tmp_path, python("while True: pass", seconds=60, cpu_seconds=1)) == "conversion_timeout"


@pytest.mark.parametrize("other", ["link", "second name", "pipe", "too large", "nothing"])
def test_nothing_but_a_file_of_its_own_is_taken_from_a_program(tmp_path: Path, other: str) -> None:
    secret, file = tmp_path / "secret", tmp_path / "file"
    secret.write_text("secret")
    match other:
        case "link":
            file.symlink_to(secret)
        case "second name":
            file.hardlink_to(secret)
        case "pipe":
            os.mkfifo(file)
        case "too large":
            file.write_text("x" * 11)
    with pytest.raises(JobError) as caught:
        produced(file, 10)
    assert caught.value.code == "conversion_failed"
    file.unlink(missing_ok=True)
    file.write_text("x" * 10)
    assert produced(file, 10) == b"x" * 10


async def test_output_goes_where_it_is_to_go_whatever_a_program_put_there(tmp_path: Path) -> None:
    secret, output = tmp_path / "secret", tmp_path / "output"
    secret.write_text("secret")
    output.symlink_to(secret)
    assert await printed(tmp_path, python("print('text')")) == "text\n"
    assert secret.read_text() == "secret"


async def test_complaint_is_told(tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        await run(python("import sys; sys.exit('No such thing\\nat all')"), tmp_path, tmp_path / "output")
    assert caught.value.message.endswith("No such thing")


async def test_complaints_without_end_do_no_harm(tmp_path: Path) -> None:
    assert await failure(tmp_path, python("import sys; sys.exit('x' * 10_000_000)")) == "conversion_failed"


async def test_whatever_it_started_ends_with_it(tmp_path: Path) -> None:
    code = "import os, time\nif os.fork() == 0: open('child', 'w').write(str(os.getpid()))\ntime.sleep(1000)"
    program = python(code, write=[tmp_path], fork=True)
    task = asyncio.create_task(run(program, tmp_path, tmp_path / "output"))
    child = tmp_path / "child"
    await until(lambda: child.exists() and child.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not alive(int(child.read_text())))
    assert os.getpgid(0) != int(child.read_text())


async def test_whenever_it_is_cancelled_nothing_of_it_is_left(tmp_path: Path) -> None:
    mark = tmp_path.as_posix()
    code = f"import os, time\nos.fork()\ntime.sleep(1000)  # {mark}"
    for step in range(40):
        task = asyncio.create_task(run(python(code, fork=True), tmp_path, tmp_path / "output"))
        await asyncio.sleep(step / 1000)
        # The loop is late, as under load: by now the program has begun, and its beginning has not been heard of.
        if step < 3:
            await asyncio.sleep(0)
            time.sleep(0.2)  # noqa: ASYNC251 # late on purpose
        task.cancel()
        await asyncio.wait([task])
    await until(lambda: not running(mark))


def running(mark: str) -> list[int]:
    """The processes with `mark` in their command."""
    return [
        pid for path in Path("/proc").iterdir() if path.name.isdigit() and mark in command_of(pid := int(path.name))
    ]
