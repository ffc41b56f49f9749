"""A Python or a system on which SmartVoice does not run is told so in a sentence, before anything is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.cli import supported_systems

ROOT = Path(__file__).parents[2]
REAL = os.path.realpath(sys.executable)


def refuses(_: str) -> str:
    raise ValueError("unrecognized configuration name")


OBJECTIONS: dict[str, tuple[object, str, object, str]] = {
    "Windows": (sys, "platform", "win32", "within WSL"),
    "an older Python": (sys, "version_info", (3, 10, 12), "this is 3.10.12"),
    "PyPy": (sys, "implementation", SimpleNamespace(name="pypy"), "this is pypy"),
    "a free-threaded Python": (sys, "abiflags", "t", "free-threaded Python 3."),
    "musl": (os, "confstr", refuses, "another C library"),
    "an old glibc": (os, "confstr", lambda _: "glibc 2.27", "this one has glibc 2.27"),
}


@pytest.mark.parametrize("case", OBJECTIONS)
def test_what_is_not_supported_is_named(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    holder, name, value, said = OBJECTIONS[case]
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(holder, name, value, raising=False)
    told = supported_systems.objection()
    assert said in told
    assert "\n" not in told


def test_this_machine_is_supported() -> None:
    assert supported_systems.objection() == ""


def test_command_says_so_before_it_imports_anything(tmp_path: Path) -> None:
    """As on Windows, where the first import would fail."""
    code = "import runpy, sys; sys.platform = 'win32'; sys.modules['typer'] = None; "
    code += "runpy.run_module('smartvoice', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [supported_systems._LINUX + "; on Windows it runs within WSL."]


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`tools/make-venv` on a machine that has little more than a shell."""
    for tool in ("sh", "rm", "id"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))

    def make(name: str, script: str) -> subprocess.CompletedProcess[str]:
        if script:
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
        command = [str(ROOT / "tools/make-venv"), str(tmp_path / "venv")]
        environment = {"PATH": str(tmp_path), "PYTHON": name}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    return make


_NO_VENV = f"""
case "$*" in
  *"import ensurepip"*|*virtualenv*|"-m pip"*) exit 1 ;;
  *) exec {REAL} "$@" ;;
esac
"""


@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        ("python3", "", "sudo apt-get install python3 python3-venv"),
        ("python3", _NO_VENV, "sudo apt-get install python3-venv;"),
        ("python-other", _NO_VENV, f"sudo apt-get install python3.{sys.version_info.minor}-venv;"),
        ("python3", f"exec {REAL} -c \"import sys; sys.exit('too old')\"", "too old"),
    ],
    ids=["no Python", "no venv", "no venv of another", "not supported"],
)
def test_make_says_what_to_install(
    made: Callable[..., subprocess.CompletedProcess[str]], name: str, script: str, said: str
) -> None:
    done = made(name, script)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
