"""Which voice engines are installed: what packages name in the entry-point groups.

Those of `smartvoice.engines` run in voice processes; those of `smartvoice.worker_engines`, which need the network or
something else of the worker, in the worker itself. Looking does not load them: the web side may look, too.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

GROUP = "smartvoice.engines"
WORKER_GROUP = "smartvoice.worker_engines"
_OURS = "workers.engines."


def installed() -> dict[str, EntryPoint]:
    """The engines by name. Of two packages with the same name for one, the first that Python finds counts."""
    found: dict[str, EntryPoint] = {}
    for entry in [*entry_points(group=GROUP), *entry_points(group=WORKER_GROUP)]:
        found.setdefault(entry.name, entry)
    return found


def in_worker(entry: EntryPoint) -> bool:
    """Whether a worker loads this engine itself. Ours see to their processes themselves."""
    return entry.group == WORKER_GROUP or entry.value.startswith(_OURS)


def listed() -> str:
    """Their names, for people."""
    return ", ".join(sorted(installed())) or "none; install SmartVoice anew"
