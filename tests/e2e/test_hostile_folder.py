"""Started in a folder of somebody else's, with files called as what SmartVoice imports, it runs none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import hostile_folder
from tests.e2e.sample import narrate_sample
from tests.stack import Stack, command_of, environment, started
from tests.support import until

ROOT = Path(__file__).parents[2]
SCRIPT = """\
import re
import sys
from smartvoice.__main__ import main
sys.exit(main())
"""
"""As pip writes it for a command."""


@pytest.fixture
def smartvoice(tmp_path: Path) -> list[str]:
    script = tmp_path / "smartvoice"
    script.write_text(SCRIPT)
    return [sys.executable, str(script)]


@pytest.mark.timeout(240)
async def test_none_of_its_files_is_run(smartvoice: list[str]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    # With an empty part in PYTHONPATH Python looks into the current folder first, even for its own library. What it
    # imports so before any line of ours is beyond us.
    hostile_folder.fill(folder, without=hostile_folder.loaded_by_python())
    settings = {"PYTHONPATH": f"{os.pathsep}{ROOT}", "SMARTVOICE_WEB_PROCESSES": "2"}
    with started(smartvoice, folder, settings) as stack:
        await narrate_sample(stack)
        await _begins_anew(stack)
        await _more_workers(stack, smartvoice, folder)
        doctor = subprocess.run([*smartvoice, "doctor"], cwd=folder, env=stack.environment, capture_output=True)
        assert doctor.returncode == 0, doctor.stdout
        printed = (folder / "up.log").read_text()
        found = hostile_folder.ran(folder)
    assert not found
    assert "starting it again" not in printed


async def _begins_anew(stack: Stack) -> None:
    """Hangs a worker up, which becomes the same command anew."""
    log = stack.folder.parent / "up.log"
    ready = log.read_text().count("ready for action")
    masters = [pid for pid in stack.children() if "app.cli worker" in command_of(pid)]
    os.kill(masters[0], signal.SIGHUP)
    await until(lambda: log.read_text().count("ready for action") > ready, 60)


async def _more_workers(stack: Stack, smartvoice: list[str], folder: Path) -> None:
    """Two that Dramatiq's command watches over, until they have begun."""
    log = folder / "workers.log"
    with log.open("wb") as output:
        words = [*smartvoice, "worker", "--processes", "2"]
        master = subprocess.Popen(words, cwd=folder, env=stack.environment, stdout=output, stderr=output)
    try:
        await until(lambda: log.read_text().count("ready for action") == 2, 60)
        # Forked, not started by a server of multiprocessing's, which is a process more and has one more that tracks.
        watched = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
        assert [command_of(int(pid)) for pid in watched] == [command_of(master.pid)] * 2
    finally:
        master.terminate()
        master.wait(40)


def test_command_runs_none_of_its_files(smartvoice: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    hostile_folder.fill(folder)
    done = subprocess.run(
        [*smartvoice, "token", "alice"],
        cwd=folder,
        env=environment({"PYTHONPATH": str(ROOT), "SMARTVOICE_SECRET_KEY": "k" * 32}),
        capture_output=True,
    )
    assert (done.returncode, hostile_folder.ran(folder)) == (0, "")
    # What is looked for would be seen.
    subprocess.run([sys.executable, "-m", "app.cli"], cwd=folder, capture_output=True)
    assert hostile_folder.ran(folder)
