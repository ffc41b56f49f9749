"""Packages of npm, installed beside the Python packages at the first need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def node_modules(package: str, versions: str) -> Path:
    """The folder in which `package` is; the test is skipped, or in CI fails, where it cannot be had."""
    folder = Path(sys.prefix) / "npm"
    if not shutil.which("node") or not shutil.which("npm"):
        missing(f"no Node.js for the test with npm's {package}; install it (Debian: apt-get install nodejs npm)")
    if not (folder / "node_modules" / package).exists():
        wanted = f"{package}@{versions}"
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), wanted]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
        except subprocess.SubprocessError as error:
            missing(f"npm cannot install {package} ({error}); is its registry within reach?")
    return folder / "node_modules"


def missing(what: str) -> None:
    """Skips at a desk, fails where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
