"""What a package with a voice engine imports (docs/develop/engines.md). These names stay, whatever moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Where it is installed: in a checkout type checkers know nothing of it.
    from smartvoice.lib.app.core.errors import JobError
    from smartvoice.lib.app.core.settings import Settings
    from smartvoice.lib.workers.speech.engine import ANY_LANGUAGE, Engine, EngineFactory, Pcm, Voice, choose_voice
else:
    from smartvoice.__main__ import make_importable

    make_importable()
    from app.core.errors import JobError
    from app.core.settings import Settings
    from workers.audio.pcm import Pcm
    from workers.speech.engine import ANY_LANGUAGE, Engine, EngineFactory, Voice, choose_voice

__all__ = [
    "ANY_LANGUAGE",
    "Engine",
    "EngineFactory",
    "JobError",
    "Pcm",
    "Settings",
    "Voice",
    "choose_voice",
]
