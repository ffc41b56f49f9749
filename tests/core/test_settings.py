"""Settings are checked where they are read, and say what is wrong without showing what is secret."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.command_settings import fault_of
from app.cli.instance_lock import Busy, alone
from app.cli.main import app as cli
from app.core import renamed_settings
from app.core.settings import Settings
from workers.engines.openai import OpenAi, Service
from workers.engines.registry import engine_of

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


_OTHERS: dict[str, str] = {
    "redis_url": "redis+sentinel://one:26379,two/primary",
    "queue_url": "amqp://user@rabbit:5672/%2f",
    "storage_url": "s3://bucket/prefix",
    "s3_endpoint": "https://s3.example:9000",
    "s3_access_key_id": "id",
    "s3_secret_access_key": "other",
    "audio_delivery": "redirect",
    "secret_key": "k" * 32,
    "old_secret_keys": "o" * 32,
    "jwt_secret": "j" * 32,
    "jwks_url": "https://issuer.example/keys",
    "jwt_algorithms": "ES256",
    "public_url": "https://voice.example",
    "trusted_proxies": "10.0.0.0/8, ::1",
    "allowed_hosts": "voice.example, *.lan",
    "cors_origins": "https://app.example",
    "metrics_token": "m" * 16,
    "log_format": "json",
    "default_language": "zh-CN",
    "tts_engine": "piper",
    "tts_url": "http://voice.example/v1",
    "tts_voices": "alloy=en",
    "tts_format": "opus",
    "price_currency": "EUR",
    "audio_sample_rate": "44100",
    "audio_kilobits": "128",
    "audio_mode": "vbr",
    "oidc_issuer": "https://id.example",
    "oidc_client_id": "smartvoice",
    "oidc_client_secret": "oidc",
    "oidc_scopes": "openid",
}
"""A value that is valid and no default, of each setting that is more than a number, a yes or no, or any text."""


def _other(name: str) -> str:
    """Such a value of any setting."""
    field = Settings.model_fields[name]
    if name in _OTHERS:
        return _OTHERS[name]
    if field.annotation is bool:
        return str(not field.default)
    if field.annotation in {int, float}:
        step = 1 if field.annotation is int else 0.25
        bounds = [bound for one in field.metadata for bound in (getattr(one, "le", None),) if bound is not None]
        return str(field.default - step if field.default in bounds else field.default + step)
    return f"another-{name}"


def _plain(value: Any) -> str:
    return str(getattr(value, "get_secret_value", lambda: value)())


def test_every_setting_is_set_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "another-secrets_dir").mkdir()
    given = {name: _other(name) for name in Settings.model_fields}
    for name, value in given.items():
        monkeypatch.setenv(f"SMARTVOICE_{name.upper()}", value)
    settings = Settings()
    read = {name: _plain(getattr(settings, name)) for name in given}
    assert read == given
    defaults = {name: _plain(field.default) for name, field in Settings.model_fields.items()}
    assert not [name for name in given if read[name] == defaults[name]]


_INVALID: dict[str, str] = {
    "redis_url": "127.0.0.1:6379",
    "queue_url": "kafka://host",
    "storage_url": "ftp://host",
    "s3_endpoint": "s3.example",
    "secret_key": "short",
    "old_secret_keys": "short",
    "jwt_secret": "short",
    "jwks_url": "file:///etc/passwd",
    "public_url": "voice.example",
    "trusted_proxies": "my proxy",
    "allowed_hosts": "https://voice.example",
    "cors_origins": "app.example",
    "metrics_token": "short",
    "tts_engine": "No Engine",
    "tts_url": "voice.example",
    "tts_api_key": "two words",
    "tts_voices": "a b",
    "tts_model": "",
    "price_currency": "euro",
    "oidc_issuer": "id.example",
    "oidc_scopes": "profile",
    "secrets_dir": "/no/such/folder",
}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_that_is_wrong_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = name in _INVALID or Settings.model_fields[name].annotation is not str
    if not checked or name in {"data_dir", "s3_secret_access_key", "oidc_client_secret"}:
        return  # any text will do
    for value in [_INVALID[name]] if name in _INVALID else ["no such value", "inf", "nan"]:
        monkeypatch.setenv(f"SMARTVOICE_{name.upper()}", value)
        with pytest.raises(ValueError, match=r"(?s).*") as caught:
            Settings()
        said = fault_of(caught.value)
        assert f"SMARTVOICE_{name.upper()}" in said or "a key that signs tokens has" in said
        assert "pydantic" not in said
        assert "short" not in said.partition(":")[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis_url", "rediss://:secret@host:6380/1"),
        ("redis_url", "unix:///run/redis.sock"),
        ("redis_url", "unix://:secret@/run/redis.sock?db=1"),
        ("redis_url", "redis://[::1]:6379"),
        ("redis_url", "redis+sentinel://user:secret@one:1,two:2/primary?db=3"),
        ("queue_url", "redis+sentinel://one/primary"),
        ("queue_url", "amqps://rabbit"),
        ("queue_url", "amqp://user:password@one:5672;amqp://user:password@two:5672/%2f"),
        ("redis_url", "redis+sentinel://:p@ss@[::1]:1,two,/primary?db=1&sentinel_password=x"),
        ("storage_url", "file:///srv/a folder"),
        ("storage_url", "s3a://bucket"),
        ("public_url", "http://[::1]:8000/voice"),
    ],
)
def test_address_of_every_kind_is_taken(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SMARTVOICE_{name.upper()}", value)
    assert getattr(Settings(), name) == value


@pytest.mark.parametrize(
    "value", ["redis://host:port", "redis://host:99999", "redis+cluster://", "redis+sentinel://one:1", "unix:redis"]
)
def test_address_of_redis_that_cannot_be_used_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be redis://"):
        Settings(redis_url=value, queue_url="redis://queue")
    with pytest.raises(ValueError, match="must be redis://"):
        Settings(queue_url=value)


def test_settings_file_of_another_account_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMARTVOICE_TTS_MODEL=mine\n")
    assert Settings().tts_model == "mine"
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    owner = (tmp_path / ".env").stat().st_uid
    if owner == 0:  # root's count for everybody
        os.chown(tmp_path / ".env", 54321, -1)
    with pytest.raises(ValueError, match="belongs to another account"):
        Settings()
    monkeypatch.setenv("SUDO_UID", str((tmp_path / ".env").stat().st_uid))
    assert Settings().tts_model == "mine"


def test_settings_file_names_no_program(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SMARTVOICE_REDIS_BINARY=./redis-server\n")
    with pytest.raises(ValueError, match="SMARTVOICE_REDIS_BINARY names a program"):
        Settings()


def test_command_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTVOICE_AUDIO_KILOBITS", "65")
    monkeypatch.setenv("SMARTVOICE_TTS_VOICES", "[bold]a b")
    done = CliRunner().invoke(cli, ["token", "alice"])
    assert done.exit_code == 2
    assert "SMARTVOICE_AUDIO_KILOBITS: Input should be 32, 40" in done.stderr
    assert "'[bold]a b' is no voice" in done.stderr.replace("\n", " ")


def test_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(data_dir=tmp_path / "file", port=1)
    with pytest.raises(Busy, match=r"file cannot be used.*SMARTVOICE_DATA_DIR"), alone(settings):
        pass


def test_setting_is_read_under_its_old_name_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    renamed_settings._warn.cache_clear()
    monkeypatch.setenv("SMARTVOICE_WORKER_THREADS", "7")
    assert Settings().worker_concurrency == Settings().worker_concurrency == 7
    assert capsys.readouterr().err.count("SMARTVOICE_WORKER_THREADS is now called SMARTVOICE_WORKER_CONCURRENCY") == 1
    monkeypatch.setenv("SMARTVOICE_WORKER_CONCURRENCY", "3")
    assert Settings().worker_concurrency == 3
    assert Settings(worker_concurrency=4).worker_concurrency == 4


def test_old_name_of_a_setting_is_read_from_the_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SMARTVOICE_WORKER_THREADS=5\n")
    assert Settings().worker_concurrency == 5
