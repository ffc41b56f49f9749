"""Write requirements/*.lock: every package that is installed, with its version and the hashes of its files.

    lock.py             take what is in pyproject.toml, and keep locked versions that still fit
    lock.py --upgrade   move to the newest versions that fit

Prints each package that is added, removed or moved. pip alone installs from the files (`--require-hashes`). They hold
for every Python and platform that pyproject.toml allows, by markers. They name no host: pip takes files from whatever
index it is told to use, and refuses one whose hash is not locked.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).parent.parent
FOLDER = HOME / "requirements"
OLDEST_PYTHON = "3.11"

EXTRAS = ["embedded", "piper", "rabbitmq", "otel"]
LOCKS: dict[str, list[str]] = {
    # Everything, and first: what the others have is what is tested here.
    "test": [*(word for extra in EXTRAS for word in ("--extra", extra)), "--group", "dev", "--group", "build"],
    "run": ["--extra", "embedded", "--group", "build", "--constraint", "requirements/test.lock"],
    "tools": ["--group", "locking"],
}
_PINNED = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def versions(lock: Path) -> dict[str, str]:
    """The packages of a lock with their versions: several, where they differ by Python or platform."""
    found: dict[str, list[str]] = {}
    for name, version in _PINNED.findall(lock.read_text() if lock.exists() else ""):
        found.setdefault(name, []).append(version)
    return {name: ", ".join(sorted(several)) for name, several in found.items()}


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each package that is not as it was."""
    lines = []
    for name in sorted(before | after):
        old, new = before.get(name), after.get(name)
        if old != new:
            lines.append(f"{name}: {old or 'new,'} {'is gone' if new is None else new if old is None else f'-> {new}'}")
    return lines


def compile_lock(name: str, words: list[str], *, upgrade: bool) -> None:
    """Write one lock. Raises CalledProcessError where the requirements do not fit together or no index is reached."""
    source = [] if name == "tools" else ["pyproject.toml"]
    fixed = ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes", "--no-config", "--quiet"]
    form = ["--no-emit-index-url", "--annotation-style", "line", "--custom-compile-command", "make lock"]
    target = ["--output-file", f"requirements/{name}.lock", *(["--upgrade"] if upgrade else [])]
    uv = str(Path(sys.executable).with_name("uv"))
    command = [uv, "pip", "compile", *source, *words, *fixed, *form, *target]
    subprocess.run(command, check=True, cwd=HOME, stdout=subprocess.DEVNULL)


def main() -> int:
    upgrade = "--upgrade" in sys.argv[1:]
    FOLDER.mkdir(exist_ok=True)
    before = all_versions()
    try:
        for name, words in LOCKS.items():
            compile_lock(name, words, upgrade=upgrade)
    except subprocess.CalledProcessError as error:
        print("Not everything could be locked; see above.", file=sys.stderr)
        return error.returncode
    print("\n".join(differences(before, all_versions()) or ["Nothing has changed."]))
    return 0


def all_versions() -> dict[str, str]:
    """The versions in all locks: those of `run` are those of `test`."""
    return versions(FOLDER / "tools.lock") | versions(FOLDER / "test.lock")


if __name__ == "__main__":
    sys.exit(main())
