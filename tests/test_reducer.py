"""The tests' reducer and the browser's do the same, case by case."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from tests import reducer
from tests.programs import program

_CASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("reducer_cases.json").read_text())
_MODULES = Path(__file__).parents[1] / "static" / "js" / "progress"
_NAMES = [case["name"] for case in _CASES]

_SCRIPT = """
import { readFileSync } from "node:fs";
const { applyEvent } = await import(process.argv[1]);
const run = ({ jobs, events }) => events.reduce(applyEvent, jobs);
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(run)));
"""


@pytest.fixture(scope="module")
def node() -> str:
    """Where Node is; without it its tests are skipped at a desk, and fail where everything must be there."""
    return program("node")


@pytest.fixture(scope="module")
def in_the_browser(node: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser's reducer makes of every case, by name."""
    folder = tmp_path_factory.mktemp("static")
    shutil.copytree(_MODULES, folder / "progress")
    # A browser knows from the page that these are modules; Node wants to be told.
    (folder / "package.json").write_text('{"type": "module"}')
    module = (folder / "progress" / "reducer.js").as_uri()
    done = subprocess.run(
        [node, "--input-type=module", "--eval", _SCRIPT, module],
        input=json.dumps(_CASES),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(_NAMES, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("case", _CASES, ids=_NAMES)
def test_events_change_the_jobs_as_told(case: dict[str, Any]) -> None:
    before = json.dumps(case["jobs"])
    assert reduce(reducer.apply, case["events"], case["jobs"]) == case["expected"]
    assert json.dumps(case["jobs"]) == before


@pytest.mark.parametrize("case", _CASES, ids=_NAMES)
def test_events_change_the_jobs_in_the_browser_as_told(case: dict[str, Any], in_the_browser: dict[str, Any]) -> None:
    assert in_the_browser[case["name"]] == case["expected"]


def test_picture_shows_the_latest_job_of_each_thing_made() -> None:
    def job(id: str, project: str, chapter: str | None, version: str) -> reducer.Job:
        return {"id": id, "projectId": project, "queue": "audio-generation", "chapterId": chapter, "version": version}

    jobs = {
        made["id"]: made
        for made in (
            job("again", "p", "c1", "7-10"),
            job("first", "p", "c1", "7-9"),
            job("parse", "p", None, "7-1"),
            job("other", "q", "c1", "6-99"),
        )
    }
    assert set(reducer.picture(jobs)) == {"again", "parse", "other"}
    assert set(reducer.picture(jobs, ["q"])) == {"other"}
