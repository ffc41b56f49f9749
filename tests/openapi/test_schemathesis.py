"""The interface does what its description says, whatever it is sent: schemathesis against the real application.

With `SMARTVOICE_FUZZ_EXAMPLES` set it makes up so many requests for each operation, others each time (`make fuzz`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from string import Template
from typing import Any

import pytest

from app.core.settings import Settings
from tests.openapi.world import Names, peopled

_HERE = Path(__file__).parent
_EXAMPLES = os.environ.get("SMARTVOICE_FUZZ_EXAMPLES")
_AMOUNT = ["--max-examples", _EXAMPLES] if _EXAMPLES else ["--max-examples", "10", "--generation-deterministic"]
_MIN_CASES = 1000


async def _run(address: str, names: Names, folder: Path, *options: str) -> dict[str, Any]:
    """What schemathesis reports; it is a process of its own, beside the server in this one."""
    report, configuration = folder / "report.json", folder / "schemathesis.toml"
    template = Template((_HERE / "schemathesis.toml").read_text())
    configuration.write_text(template.substitute(names, HOOKS=_HERE / "hooks.py"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run"),
        *(f"{address}/openapi.json", "--report", "json", "--report-json-path", str(report), *_AMOUNT, *options),
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    # Shown where the test fails: what was sent, and what came back.
    print(output.decode())
    return dict(json.loads(report.read_text()))


def _check(report: dict[str, Any]) -> None:
    assert (report["exit_code"], report["failures"], report["errors"]) == (0, [], [])
    assert report["operations"]["skipped"] == report["operations"]["errored"] == 0
    assert report["operations"]["tested"] == report["operations"]["selected"]


@pytest.mark.timeout(3600 if _EXAMPLES else 240)
async def test_every_operation_keeps_to_its_description(settings: Settings, tmp_path: Path) -> None:
    async with peopled(settings) as (address, names):
        report = await _run(address, names, tmp_path)
    _check(report)
    assert report["operations"]["selected"] == report["operations"]["total"]
    assert report["test_cases"]["generated"] >= _MIN_CASES
    assert {phase["status"] for phase in report["phases"].values()} == {"success"}
    # All that there is was found: no operation was seen from outside only, but for splits, which find no second half in
    # texts as short as these (tests/endpoints/test_split_merge.py has them).
    # Sign-ins end all at once by another operation (tests/endpoints/test_sessions.py has each by itself).
    seen_elsewhere = ("/split", "DELETE /api/sessions/{session}")
    assert [one for one in report["warnings"]["missing_test_data"] if not one.endswith(seen_elsewhere)] == []


@pytest.mark.timeout(3600 if _EXAMPLES else 240)
async def test_long_poll_keeps_to_its_description(settings: Settings, tmp_path: Path) -> None:
    only = ["--include-operation-id", "events_events", "--header", "Accept: application/json"]
    async with peopled(settings) as (address, names):
        report = await _run(address, names, tmp_path, *only)
    _check(report)
    assert report["operations"]["selected"] == 1
