"""How a process of SmartVoice is started: always by this Python, never with modules of the folder it is started in."""

from __future__ import annotations

import sys

SAFE_PATH = "-P"
"""Without it, `python -m` looks for modules in the current folder before it looks anywhere else."""


def command(*words: str) -> list[str]:
    """The command that is `smartvoice …`; its environment is this process' own."""
    return python("app.cli", *words)


def python(module: str, *words: str) -> list[str]:
    """The command that runs a module of ours."""
    return [sys.executable, SAFE_PATH, "-m", module, *words]
