"""Packages of npm, and Python clients for tests alone, installed beside the Python packages at the first need."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

from tests.programs import missing, program


def node_modules(package: str, versions: str) -> Path:
    """The folder in which `package` is; the test is skipped, or in CI fails, where it cannot be had."""
    folder = Path(sys.prefix) / "npm"
    program("node")
    program("npm")
    folder.mkdir(exist_ok=True)
    # Test processes come at the same time: none must find what another is still installing.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "node_modules" / package).exists():
            _install(folder, f"{package}@{versions}")
    return folder / "node_modules"


def _install(folder: Path, wanted: str) -> None:
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), wanted]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    except subprocess.SubprocessError as error:
        missing(f"npm cannot install {wanted} ({error}); is its registry within reach?")


def python_packages(package: str) -> Path:
    """A folder with a package of PyPI that only a test's client uses, and none of what it needs."""
    folder = Path(sys.prefix) / "clients" / package.partition(">")[0]
    folder.parent.mkdir(exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), package]
            try:
                subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
            except subprocess.SubprocessError as error:
                missing(f"pip cannot install {package} ({error}); is its index within reach?")
    return folder
