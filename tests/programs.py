"""Programs that tests need beside Python. Where one is missing, its tests are skipped at a desk, and fail in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
"""Where servers are, which are not on everybody's PATH."""

_PACKAGES = {
    "caddy": "caddy",
    "chromium": "chromium",
    "curl": "curl",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "git": "git",
    "ip": "iproute2",
    "javac": "default-jdk-headless",
    "nginx": "nginx-light",
    "node": "nodejs",
    "npm": "npm",
    "openssl": "openssl",
    "perl": "perl",
    "rabbitmq-server": "rabbitmq-server",
    "redis-cli": "redis-tools",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
}
"""Debian's package of each."""


def program(name: str, *others: str) -> str:
    """The path of a program, or of one of `others` that do as well; without any, the test is skipped or fails."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS])
    for one in (name, *others):
        if found := shutil.which(one, path=path):
            return found
    missing(f"no {name} here; install it (Debian: apt-get install {_PACKAGES[name]})")


def missing(what: str) -> NoReturn:
    """Skips at a desk, fails where everything must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
