"""The client's modules without a browser: their types, and what they do while time, tabs and servers are the test's."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.measurements import Measured
from tests.npm import node_modules
from tests.programs import program

_ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("project", ["tsconfig.json", "tsconfig.pages.json"])
def test_types_are_sound(project: str) -> None:
    """The client's strictly; the pages', where their JSDoc tells types."""
    tsc = node_modules("typescript", "^7.0.2") / ".bin" / "tsc"
    done = subprocess.run(
        [tsc, "--project", _ROOT / "tests" / "js" / project], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout


def test_modules_do_what_their_tests_say(tmp_path: Path, measured: Measured) -> None:
    program("node")
    # A browser knows from the page that these are modules; Node wants to be told.
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for folder in ("static/js/progress", "tests/js"):
        shutil.copytree(_ROOT / folder, tmp_path / folder)
    shutil.copy(_ROOT / "static/js/next-page.js", tmp_path / "static/js")
    tests = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / "tests" / "js").glob("*.test.js"))
    # Newer ones print in another form where nothing is said.
    command = ["node", "--test", "--test-reporter=tap", "--experimental-test-coverage", *tests]
    # Node would take a test's own settings for its tests.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NODE_")}
    done = subprocess.Popen(command, cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, _ = done.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        # Node runs each file in a process of its own, and leaves them behind when it is killed.
        os.killpg(done.pid, signal.SIGKILL)
        raise
    assert done.returncode == 0, said
    [(lines, branches)] = re.findall(r"^# all files +\| +([\d.]+) \| +([\d.]+) ", said, re.M)
    measured(f"The client's modules in Node: {lines} % of their lines and {branches} % of their branches ran")
