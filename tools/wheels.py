"""Download what requirements/run.lock has for every Python and system that is promised, and print a table of it.

Only wheels count: where one is missing, somebody would have to compile. pip takes markers from the Python that it runs
on, so they are applied here, for each target. Exit status 1 where a target lacks something.

    wheels.py [LOCK]    the lock's name: run (the default), or test
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement

HOME = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC = ("2_5", "2_12", "2_17", "2_24", "2_26", "2_27", "2_28")
"""Versions of glibc that wheels are built for, up to the oldest that SmartVoice runs on."""
SYSTEMS = {
    "Linux x86-64 (glibc 2.28)": ("linux", "Linux", "x86_64", [f"manylinux_{glibc}_x86_64" for glibc in GLIBC]),
    "Linux aarch64 (glibc 2.28)": ("linux", "Linux", "aarch64", [f"manylinux_{glibc}_aarch64" for glibc in GLIBC]),
    "macOS 14 arm64": ("darwin", "Darwin", "arm64", ["macosx_14_0_arm64"]),
}
_LEGACY = {"manylinux_2_5": "manylinux1", "manylinux_2_12": "manylinux2010", "manylinux_2_17": "manylinux2014"}
_ENTRY = re.compile(r"^[a-z0-9][^\\]*(?:\\\n[^\\\n]*)*", re.MULTILINE)


def entries(lock: str, python: str, system: str, name: str, machine: str) -> list[str]:
    """The lock's entries, with their hashes, that apply there."""
    there = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": system,
        "platform_system": name,
        "platform_machine": machine,
    }
    found = []
    for entry in _ENTRY.findall((HOME / "requirements" / f"{lock}.lock").read_text()):
        requirement = Requirement(entry.split("\\")[0])
        where = {key: str(value) for key, value in default_environment().items()} | there
        if requirement.marker is None or requirement.marker.evaluate(where):
            hashes = " ".join(re.findall(r"--hash=\S+", entry))
            found.append(f"{requirement.name}{requirement.specifier} {hashes}")
    return found


def downloaded(wanted: list[str], python: str, tags: list[str], folder: Path) -> str:
    """What pip says against it; empty where `folder` has a wheel of each."""
    (folder / "wanted.txt").write_text("\n".join(wanted))
    old = [tag.replace(new, legacy) for tag in tags for new, legacy in _LEGACY.items() if tag.startswith(f"{new}_")]
    platforms = [word for tag in [*tags, *old] for word in ("--platform", tag)]
    fixed = ["--only-binary=:all:", "--no-deps", "--require-hashes", "--quiet", "--disable-pip-version-check"]
    place = ["--dest", str(folder), "--requirement", str(folder / "wanted.txt")]
    version = ["--implementation", "cp", "--python-version", python]
    command = [sys.executable, "-m", "pip", "download", *fixed, *platforms, *version, *place]
    done = subprocess.run(command, capture_output=True, text=True)
    errors = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return "; ".join(errors or ["pip failed"]) if done.returncode else ""


def main(lock: str) -> int:
    failed = False
    print(f"| system | {' | '.join(PYTHONS)} |\n|---|{'---|' * len(PYTHONS)}")
    for title, (system, name, machine, tags) in SYSTEMS.items():
        cells = []
        for python in PYTHONS:
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                wanted = entries(lock, python, system, name, machine)
                lacking = downloaded(wanted, python, tags, folder)
                wheels = list(folder.glob("*.whl"))
                size = sum(wheel.stat().st_size for wheel in wheels) / 1e6
                failed = failed or bool(lacking)
                cells.append(lacking or f"all {len(wheels)}, {size:.0f} MB")
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or ["run"]))
