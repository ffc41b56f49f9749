"""A folder with a file for each module that SmartVoice could ever import, each of which tells that it was run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection
from importlib.metadata import packages_distributions
from pathlib import Path

_RAN = "ran"
_FILE = """\
import sys
with open({told!r}, "a") as told:
    print(__name__, sys.orig_argv, file=told)
raise SystemExit("a file of the folder that SmartVoice was started in was run")
"""
_OURS = ("app", "app.cli", "app.core", "workers", "workers.boot", "smartvoice", "static", "tests")


def fill(folder: Path, without: Collection[str] = ()) -> None:
    """Write the files, `without` those of some modules."""
    file = _FILE.format(told=str(folder / _RAN))
    for name in sys.stdlib_module_names | packages_distributions().keys() | {"sitecustomize", "usercustomize"}:
        if name.isidentifier() and name not in without:
            (folder / f"{name}.py").write_text(file)
    for name in _OURS:
        if name in without:
            continue
        package = folder.joinpath(*name.split("."))
        package.mkdir()
        for module in ("__init__", "__main__"):
            (package / f"{module}.py").write_text(file)


def ran(folder: Path) -> str:
    """What was run of it, a line each."""
    told = folder / _RAN
    return told.read_text() if told.exists() else ""


def loaded_by_python() -> set[str]:
    """Modules that are imported before any line of ours: by Python itself, and by the script that pip writes."""
    code = "import re, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    return {name.partition(".")[0] for name in loaded.split()} | {"sitecustomize", "usercustomize", "smartvoice"}
