"""The settings of a command: those of the environment, with what was given on its line."""

from __future__ import annotations

import os

from app.core.settings import Settings


def settings_with(**given: object) -> Settings:
    """Processes started from here see the same. Raises ValueError where they cannot be used."""
    for name, value in given.items():
        if value is not None:
            os.environ[f"SMARTVOICE_{name.upper()}"] = str(value)
    return Settings()
