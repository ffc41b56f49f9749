"""Imports of packages that load others wherever these are installed, without those others."""

from __future__ import annotations

import sys
from importlib import import_module


def import_without(unwanted: str, *names: str) -> None:
    """Imports the modules `names` as if `unwanted` were not installed; whoever imports that later finds it."""
    if unwanted in sys.modules:
        return
    sys.modules[unwanted] = None  # type: ignore[assignment] # as the import statement knows what may not be imported
    for name in names:
        import_module(name)
    del sys.modules[unwanted]
