"""The settings of a command: those of the environment, with what was given on its line."""

from __future__ import annotations

import os

from pydantic import ValidationError

from app.core.settings import Settings


def settings_with(**given: object) -> Settings:
    """Processes started from here see the same. Raises ValueError or OSError where they cannot be used."""
    for name, value in given.items():
        if value is not None:
            os.environ[f"SMARTVOICE_{name.upper()}"] = str(value)
    return Settings()


def fault_of(error: ValueError | OSError) -> str:
    """What is wrong with the settings, for people: each variable with what it must be."""
    if not isinstance(error, ValidationError):
        return f"The settings cannot be used: {error}"
    lines = []
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        name = f"SMARTVOICE_{str(one['loc'][0]).upper()}: " if one["loc"] else ""
        lines.append(f"{name}{one['msg'].removeprefix('Value error, ')}")
    return "\n".join(["The settings cannot be used:", *lines])
