"""What the tests need beside Python is asked for in one place, and told in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_program_that_is_missing_skips_at_a_desk_and_fails_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(programs, "_FOLDERS", ())
    with pytest.raises(outcome) as caught:
        programs.program("ffprobe")
    assert str(caught.value) == "no ffprobe here; install it (Debian: apt-get install ffmpeg)"


def test_make_installs_what_the_tests_ask_for() -> None:
    wanted = set(re.findall(r"want ([\w-]+) ", (ROOT / "tools/system-packages").read_text()))
    assert set(programs._PACKAGES.values()) - wanted <= {"git"}


def test_no_test_runs_a_program_that_it_has_not_asked_for() -> None:
    """Where a program is missing, its tests are to be skipped, and not to fail one by one."""
    source = {path: path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != "programs.py"}
    run = re.compile(rf'(?:run\(\[|Popen\(\[|command = \[|_exec\(|return \[)"({"|".join(programs._PACKAGES)})"')
    unasked = [
        (path.name, name)
        for path, text in source.items()
        for name in run.findall(text)
        if not re.search(rf'program\("{name}c?"|node_modules\(', text)
    ]
    assert unasked == []
