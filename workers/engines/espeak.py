"""The embedded voice: eSpeak NG, in voice processes. What it does there is in `workers.voice.espeak_library`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import espeakng_loader

from app.core.settings import Settings
from workers.voice import espeak_library
from workers.voice.process_pool import VoiceProcesses
from workers.voice.voice_process import VoiceProgram

_SECONDS = 20.0  # for the longest text it needs about half a second
_MEMORY = 512 << 20  # bytes; it needs a twentieth


class Espeak(VoiceProcesses):
    """The engine `espeak`: works offline on every machine, in over 100 languages."""

    def __init__(self, processes: int = 2, idle: float = 600.0, seconds: float = _SECONDS) -> None:
        """At most so many `processes`, which end when they were `idle` for so many seconds; `seconds` for a call."""
        options: dict[str, Any] = {
            "library": espeakng_loader.get_library_path(),
            "data": espeakng_loader.get_data_path(),
            "atOnce": processes,
        }
        speaker = str(Path(espeak_library.__file__))
        readable = [Path(options["library"]), Path(options["data"])]
        super().__init__(
            VoiceProgram(speaker, options, light=True, seconds=seconds, idle=idle, memory=_MEMORY, readable=readable)
        )


def make(settings: Settings) -> Espeak:
    """The engine of these settings."""
    return Espeak(settings.voice_processes, settings.voice_idle_seconds, min(_SECONDS, settings.voice_seconds))
