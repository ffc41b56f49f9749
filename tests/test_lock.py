"""The locks agree with pyproject.toml on every promised Python and platform, and with what is installed here."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME = Path(__file__).parent.parent
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text())
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
PLATFORMS = ["linux", "darwin"]
_ENTRY = re.compile(r"^[^#\s][^\\]*(?:\\\n.*)*", re.MULTILINE)


def entries(name: str) -> list[tuple[Requirement, int]]:
    """Each entry of a lock, with how many files it admits by their hashes."""
    found = _ENTRY.findall((HOME / "requirements" / f"{name}.lock").read_text())
    return [
        (Requirement(entry.split("\\")[0]), len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))) for entry in found
    ]


def wanted(name: str) -> list[Requirement]:
    """What pyproject.toml asks for by the lock of this name."""
    groups, extras = PROJECT["dependency-groups"], PROJECT["project"]["optional-dependencies"]
    of_project = PROJECT["project"]["dependencies"] + groups["build"]
    texts: dict[str, list[str]] = {
        "run": of_project + extras["embedded"],
        "test": of_project + groups["dev"] + [text for extra in extras.values() for text in extra],
        "tools": groups["locking"],
    }
    return [Requirement(text) for text in texts[name]]


def environment(python: str, platform: str) -> dict[str, str]:
    system = {"linux": "Linux", "darwin": "Darwin"}[platform]
    told = {"python_version": python, "python_full_version": f"{python}.9", "extra": ""}
    return this_environment() | told | {"sys_platform": platform, "platform_system": system}


def this_environment() -> dict[str, str]:
    return {name: str(value) for name, value in default_environment().items()}


def applies(requirement: Requirement, where: dict[str, str]) -> bool:
    return requirement.marker is None or requirement.marker.evaluate(where)


@pytest.mark.parametrize("name", ["run", "test", "tools"])
def test_lock_has_what_pyproject_asks_for_within_its_range(name: str) -> None:
    locked = entries(name)
    for python, platform in product(PYTHONS, PLATFORMS):
        where = environment(python, platform)
        here = {canonicalize_name(entry.name): entry for entry, _ in locked if applies(entry, where)}
        for asked in wanted(name):
            if not applies(asked, where):
                continue
            entry = here.get(canonicalize_name(asked.name))
            assert entry, f"{asked} is not in requirements/{name}.lock: make lock"
            [pinned] = entry.specifier
            assert pinned.operator == "=="
            assert asked.specifier.contains(pinned.version, prereleases=True), f"{entry} is not {asked}: make lock"


@pytest.mark.parametrize("name", ["run", "test", "tools"])
def test_lock_names_files_by_hash_and_no_host(name: str) -> None:
    assert [str(entry) for entry, files in entries(name) if not files] == []
    text = (HOME / "requirements" / f"{name}.lock").read_text()
    options = set(re.findall(r"(?:^|\s)(--?[a-z-]+)", text)) - {"--hash", "-c"}
    assert ("://" in text, options) == (False, set())


def test_what_runs_is_what_is_tested() -> None:
    tested = {str(entry) for entry, _ in entries("test")}
    assert {str(entry) for entry, _ in entries("run")} <= tested


def test_what_is_installed_here_is_what_is_locked() -> None:
    here = this_environment()
    other = []
    for entry, _ in entries("test"):
        if applies(entry, here):
            try:
                installed = version(entry.name)
            except PackageNotFoundError:
                installed = "nothing"
            if not entry.specifier.contains(installed, prereleases=True):
                other.append(f"{entry}, but {installed} is installed")
    assert other == [], "make .venv/.test"


def test_nothing_is_installed_but_by_the_locks() -> None:
    """So two installations give the same versions, whatever was published between them."""
    texts = [(HOME / name).read_text() for name in ("Makefile", "tools/install", "deploy/docker/Dockerfile")]
    commands = re.findall(r"(?:tools/install|pip install) (.*)", "\n".join(texts))
    assert len(commands) >= 6
    for command in commands:
        passed_on = '"$@"' in command
        of_ours = "--no-deps --no-build-isolation" in command
        locked = "--require-hashes" in command and re.search(r"(?:requirements/)?(?:run|test|tools)\.lock", command)
        assert passed_on or of_ours or locked, command
