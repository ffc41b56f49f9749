"""What a worker has among the temporary files goes with its work; what a killed one had, with the next start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import environment
from workers.core.scratch import clear_away, scratch_dir

_WORKS = "from workers.core.scratch import scratch_dir\nwith scratch_dir() as path: print(path, flush=True); input()"


def test_folder_of_a_killed_worker_is_cleared_away_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "smartvoice-work-of-another-program").mkdir()
    command = [sys.executable, "-c", _WORKS]
    there = environment({"TMPDIR": str(tmp_path)})
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=there) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        (theirs / "book.m4b").write_bytes(b"half of it")
        with scratch_dir() as ours:
            assert clear_away() == 0
            other.kill()
            other.wait()
            assert theirs.exists()
            assert clear_away() == 1
            assert (ours.exists(), theirs.exists()) == (True, False)
    assert [path.name for path in tmp_path.iterdir()] == ["smartvoice-work-of-another-program"]
