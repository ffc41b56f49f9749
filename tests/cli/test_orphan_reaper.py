"""`up` as the first process of a container: it reaps orphans, and ends all of it when it is told to."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.cli.orphan_reaper import reap, zombies
from tests.programs import missing
from tests.stack import alive, children_of, started
from tests.support import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what becomes of orphans is told for Linux")


async def test_what_nobody_waits_for_is_reaped_and_what_was_started_here_keeps_its_status() -> None:
    # As an orphan is, it is a child of ours that nothing here knows of.
    unknown = os.posix_spawn(sys.executable, [sys.executable, "-ISc", "0"], {})
    await until(lambda: unknown in zombies(os.getpid()))
    task = asyncio.create_task(reap(pause=0.02))
    try:
        ours = await asyncio.create_subprocess_exec(sys.executable, "-ISc", "raise SystemExit(3)")
        assert await ours.wait() == 3
        await until(lambda: unknown not in zombies(os.getpid()))
    finally:
        task.cancel()


def test_first_process_of_a_container_ends_everything_when_told_to() -> None:
    apart = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*apart, "true"], capture_output=True).returncode:
        missing("a process namespace of its own needs root and unshare (Debian: apt-get install util-linux)")
    command = [*apart, sys.executable, "-P", "-m", "app.cli"]
    settings = {"SMARTVOICE_WORKER_PROCESSES": "1"}
    with started(command, Path(tempfile.mkdtemp(prefix="sv-")), settings) as stack:
        first = children_of(stack.process.pid)[0]
        everything = children_of(stack.process.pid)
        os.kill(first, signal.SIGTERM)
        assert stack.process.wait(40) == 0
        assert not [pid for pid in everything if alive(pid)]
        assert "Stopped." in (stack.folder.parent / "up.log").read_text()
