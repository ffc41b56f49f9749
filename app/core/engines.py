"""Which voice engines are installed: what packages name in the entry-point group `smartvoice.engines`.

Looking does not load them: the web side may look, and only workers load one.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "smartvoice.engines"


def installed() -> dict[str, EntryPoint]:
    """The engines by name. Of two packages with the same name for one, the first that Python finds counts."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return found


def listed() -> str:
    """Their names, for people."""
    return ", ".join(sorted(installed())) or "none; install SmartVoice anew"
