"""Manuscripts and voices where none of Linux' calls are: a system like macOS, as far as one can be had on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.conftest import Reports
from workers.engines.espeak import Espeak
from workers.pipeline import parsing
from workers.sandbox import process
from workers.sandbox.limits import FileAccess, Limits

# What runs in the new process before the launcher: the C library has no call of Linux' alone, and the bound of
# addresses is refused as macOS refuses it.
_ELSEWHERE = """
import ctypes, os, resource, sys
sys.platform = "darwin"
for name in ("O_PATH", "pidfd_open"):
    if hasattr(os, name):
        delattr(os, name)
linux, set_bound = ctypes.CDLL(None, use_errno=True), resource.setrlimit

class Library:
    signal = linux.signal

def setrlimit(kind, bounds):
    if kind == resource.RLIMIT_AS:
        raise ValueError("current limit exceeds maximum limit")
    set_bound(kind, bounds)

ctypes.CDLL = lambda *_, **__: Library
resource.setrlimit = setrlimit
"""


@pytest.fixture(autouse=True)
def _no_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_LAUNCH", f"exec({_ELSEWHERE!r}); {process._LAUNCH}")
    monkeypatch.delattr(os, "pidfd_open", raising=False)


async def test_manuscript_is_read(tmp_path: Path, reports: Reports) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"<h1>One</h1><p>A.</p><h1>Two</h1><p>B.</p>")
    found = await parsing.parse(source, "html", "Book", "en", reports)
    assert [chapter.title for chapter in found.chapters] == ["One", "Two"]


async def test_voice_speaks() -> None:
    espeak = Espeak(1)
    try:
        assert (await espeak.speak("The tide came in.", "en-us")).samples
    finally:
        await espeak.aclose()


def test_bounds_are_those_that_the_system_has(tmp_path: Path) -> None:
    code = "import resource as r; print(*(r.getrlimit(kind)[0] for kind in (r.RLIMIT_AS, r.RLIMIT_DATA, r.RLIMIT_CPU)))"
    limits = Limits(1 << 30, cpu_seconds=7)
    line = process.launch([sys.executable, "-I", "-c", code], limits, tmp_path, FileAccess(), {})
    done = subprocess.run(line, env={}, capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["-1", str(1 << 30), "7"], "")
