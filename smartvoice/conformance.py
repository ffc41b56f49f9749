"""The tests that a voice engine must pass, for its author to run with pytest (docs/develop/engines.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartvoice.lib.workers.speech.conformance import EngineConformance
else:
    from smartvoice.__main__ import make_importable

    make_importable()
    from workers.engines.conformance import EngineConformance

__all__ = ["EngineConformance"]
