"""A run of tests that leaves something behind fails, and says what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import alive

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="orphans are found by a call of Linux'")

ROOT = Path(__file__).parents[1]
_LEAVES = """
import os, subprocess, sys, tempfile

def test_that_passes():
    tempfile.mkdtemp(prefix="forgotten-")
    # Its parent is gone, its environment empty, its session its own.
    subprocess.run(["sh", "-c", "setsid sleep 300 >/dev/null 2>&1 &"], env={"PATH": os.environ["PATH"]}, check=True)
"""


def run(folder: Path, source: str, *words: str) -> tuple[int, str]:
    """The exit status of a run with these tests, and what it printed."""
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.leftovers", "-q", *words]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        command, cwd=folder, env={**clean, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout


def test_what_is_left_is_named_and_the_run_has_failed(tmp_path: Path) -> None:
    status, printed = run(tmp_path, _LEAVES, "-n", "1")
    assert "1 passed" in printed
    assert status == pytest.ExitCode.TESTS_FAILED
    [(pid, command)] = re.findall(r"^process (\d+): (.*)$", printed, re.MULTILINE)
    assert command.strip() == "sleep 300"
    assert not alive(int(pid))
    assert re.search(r"^forgotten-\w+$", printed, re.MULTILINE), printed
