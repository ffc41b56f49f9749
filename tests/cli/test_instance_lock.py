"""Which SmartVoice runs in a data folder, and where it is reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.instance_lock import Busy, address_of, alone
from app.core.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", port=8123)


def elsewhere(settings: Settings) -> Settings:
    """The settings of a command that was not told of the port."""
    return settings.model_copy(update={"port": 8000})


def test_address_is_that_of_whoever_runs_and_else_the_settings(settings: Settings) -> None:
    other = elsewhere(settings)
    assert address_of(other) == "http://127.0.0.1:8000"
    with alone(settings):
        assert address_of(other) == "http://127.0.0.1:8123"
        with pytest.raises(Busy, match="is running in"), alone(other):
            pass
        assert address_of(other) == "http://127.0.0.1:8123"
        named = other.model_copy(update={"public_url": "https://voice.example"})
        assert address_of(named) == "https://voice.example"
    assert address_of(other) == "http://127.0.0.1:8000"


def test_lock_without_rights_or_address_is_nobodys(settings: Settings) -> None:
    settings.data_dir.mkdir()
    (settings.data_dir / "up.lock").touch()
    assert address_of(settings) == "http://127.0.0.1:8123"
