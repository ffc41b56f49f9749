"""Settings are checked where they are read, and say what is wrong without showing what is secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.core.settings import Settings
from workers.speech.engines import engine_of
from workers.speech.openai import OpenAi, Service

URL = "http://127.0.0.1:8880"
SECRET = "sk-0123456789"


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tts_engine": "openai"}, "needs SMARTVOICE_TTS_URL"),
        ({"tts_url": "127.0.0.1:8880"}, "must be an address"),
        ({"tts_url": "file:///etc/passwd"}, "must be an address"),
        ({"tts_url": "http://"}, "must be an address"),
        ({"tts_url": f"http://me:{SECRET}@127.0.0.1"}, "SMARTVOICE_TTS_API_KEY"),
        ({"tts_url": f"{URL}/v1?key={SECRET}"}, "SMARTVOICE_TTS_API_KEY"),
        ({"tts_url": URL, "tts_api_key": f"{SECRET}\nX-Other: 1"}, "no key has"),
        ({"tts_url": URL, "tts_api_key": f"{SECRET}é"}, "no key has"),
        ({"tts_url": URL, "tts_voices": "alloy, a b"}, "'a b' is no voice"),
        ({"tts_url": URL, "tts_voices": "alloy=Chinese"}, "is no voice"),
        ({"tts_url": URL, "tts_voices": "x" * 101}, "is no voice"),
        ({"tts_api_key": SECRET, "tts_engine": "openai"}, "needs SMARTVOICE_TTS_URL"),
    ],
)
def test_voice_service_that_cannot_be_used_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        Settings(**given)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/v1", f"{URL}/v1/"])
def test_address_of_the_voice_service_may_end_with_its_version_or_not(url: str) -> None:
    assert Settings(tts_url=url).tts_base_url == f"{URL}/v1"


def test_engine_is_the_one_that_the_settings_name() -> None:
    settings = Settings(
        tts_engine="openai",
        tts_url=URL,
        tts_api_key=f" {SECRET}\n",
        tts_model="kokoro",
        tts_voices="alloy, zf_xiaobei=zh-CN",
        tts_speed=1.5,
        tts_format="flac",
        tts_max_characters=900,
        tts_concurrency=2,
        tts_timeout_seconds=30,
        tts_tries=3,
    )
    engine = engine_of(settings)
    assert isinstance(engine, OpenAi)
    assert engine.service == Service(
        url=f"{URL}/v1",
        api_key=SECRET,
        model="kokoro",
        voices="alloy, zf_xiaobei=zh-CN",
        speed=1.5,
        format="flac",
        max_characters=900,
        at_once=2,
        timeout=30,
        tries=3,
    )
    assert engine_of(Settings()).name == "espeak"


@pytest.mark.parametrize("variable", ["SMARTVOICE_SECRETS_DIR", "CREDENTIALS_DIRECTORY"])
def test_settings_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    (tmp_path / "smartvoice_secret_key").write_text("k" * 40 + "\n")
    (tmp_path / "SMARTVOICE_REDIS_URL").write_text("redis://:password@127.0.0.1/3")
    (tmp_path / "another").write_text("of somebody else")
    monkeypatch.setenv(variable, str(tmp_path))
    settings = Settings()
    assert (settings.signing_key(), settings.redis) == (b"k" * 40, "redis://:password@127.0.0.1/3")


def test_environment_comes_before_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "smartvoice_secret_key").write_text("f" * 40)
    monkeypatch.setenv("SMARTVOICE_SECRET_KEY", "e" * 40)
    (tmp_path / ".env").write_text(f"SMARTVOICE_SECRETS_DIR={tmp_path}\n")
    assert Settings().signing_key() == b"e" * 40
    monkeypatch.delenv("SMARTVOICE_SECRET_KEY")
    assert Settings().signing_key() == b"f" * 40


def test_folder_of_secrets_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "gone"))
    assert Settings().redis_url == ""
    with pytest.raises(ValueError, match="there is no folder"):
        Settings(secrets_dir=str(tmp_path / "gone"))


def test_secret_that_may_not_be_read_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "smartvoice_secret_key").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"smartvoice_secret_key cannot be read"):
        Settings(secrets_dir=str(tmp_path))
