"""Imports of packages that load others wherever these are installed, without those others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module


def import_without(unwanted: Iterable[str], *names: str) -> None:
    """Imports the modules `names` as if `unwanted` were not installed; whoever imports those later finds them."""
    hidden = [name for name in unwanted if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment] # as the import statement knows what may not be imported
    try:
        for name in names:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]
