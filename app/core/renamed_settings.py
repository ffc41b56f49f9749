"""Settings that had another name before: the old name is read for one more release, with a warning."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

RENAMED = {"worker_threads": "worker_concurrency"}
"""New names of settings by their old ones."""


class RenamedSettings(PydanticBaseSettingsSource):
    """What the environment and `.env` say under an old name, as long as `sources` say nothing under the new one."""

    def __init__(self, settings: type[BaseSettings], sources: Iterable[PydanticBaseSettingsSource]) -> None:
        super().__init__(settings)
        self._sources = list(sources)
        self._prefix = str(settings.model_config.get("env_prefix", "")).lower()

    def __call__(self) -> dict[str, Any]:
        """Return the values by their new names."""
        found: dict[str, Any] = {}
        for old, new in RENAMED.items():
            value = self._value(old)
            if value is not None and not any(new in source() for source in self._sources):
                _warn(f"{self._prefix}{old}".upper(), f"{self._prefix}{new}".upper())
                found[new] = value
        return found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Find nothing for a single field: `__call__` has all of them."""
        return None, field_name, False

    def _value(self, old: str) -> str | None:
        variables = [source.env_vars for source in self._sources if isinstance(source, EnvSettingsSource)]
        return next((found for one in variables if (found := one.get(f"{self._prefix}{old}"))), None)


@cache
def _warn(old: str, new: str) -> None:
    """Warn once in each process. Logs are not set up yet when settings are read."""
    print(f"{old} is now called {new}. The old name is read for one more release.", file=sys.stderr)
