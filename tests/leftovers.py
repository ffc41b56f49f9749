"""What a run of the tests leaves behind: processes, temporary files, networks. A run that leaves any has failed.

Whatever a test starts is this process' descendant, also once its parent has ended: the kernel gives orphans to the
nearest "subreaper" above them (prctl(2)). Temporary files of all processes are in a folder of the run's own. Neither
depends on names, nor on what others do on this machine at the same time.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.stack import alive, children_of, command_of

RUN = "TESTS_RUN"
"""The environment variable with a name of this run, for what others on this machine see: see `tests.scale.network`."""

_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 5.0
_LEFT_BY_DESIGN = ("smartvoice-[0-9]*", "pulse-*", "node-compile-cache")
"""Sockets of metrics of processes that a test killed: whoever asks next takes them away. And Chromium's, npm's."""
_NAMESPACES = Path("/run/netns")
_INTERFACES = Path("/sys/class/net")
_Found = pytest.StashKey[list[str]]()
_Folder = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # one of xdist's, which the run that started it looks after
    config.stash[_Found] = []
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.environ[RUN] = f"{random.randrange(16**4):04x}"
    # Where pytest keeps what failed tests leave to look at.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    folder.chmod(0o1777)  # as /tmp is: some programs run as other users
    config.stash[_Folder] = folder
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # as `workers.engines.piper` does; it would leave a file


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if _Folder not in config.stash:
        return
    found = [*_processes(), *_files(config.stash[_Folder]), *_networks(os.environ[RUN])]
    config.stash[_Found] += found
    if found and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if found := config.stash.get(_Found, []):
        terminalreporter.write_sep("=", "left behind by the tests", red=True)
        terminalreporter.write_line("\n".join(found))


def pytest_unconfigure(config: pytest.Config) -> None:
    if folder := config.stash.get(_Folder, None):
        tempfile.tempdir = None
        shutil.rmtree(folder, ignore_errors=True)


def _processes() -> Iterator[str]:
    """Those that do not end by themselves within some seconds; they are ended."""
    deadline = time.monotonic() + _END_SECONDS
    while (left := [pid for pid in children_of(os.getpid()) if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        yield f"process {pid}: {command_of(pid)[:200]}"
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _files(folder: Path) -> Iterator[str]:
    by_design = {path for pattern in _LEFT_BY_DESIGN for path in folder.glob(pattern)}
    for path in sorted(set(folder.iterdir()) - by_design):
        inside = sorted(str(one.relative_to(path)) for one in path.rglob("*"))[:5] if path.is_dir() else []
        yield f"{path.name}{': ' if inside else ''}{', '.join(inside)}"


def _networks(run: str) -> Iterator[str]:
    for folder in (_NAMESPACES, _INTERFACES):
        if folder.is_dir():
            yield from (str(path) for path in sorted(folder.glob(f"sv{run}*")))
