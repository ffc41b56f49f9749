"""Promises that stand in prose, held against the code."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import typer.main
from dramatiq.brokers.stub import StubBroker

from app.cli.main import app as cli
from app.core.errors import Problem
from app.core.jobs.broker import ACTORS
from app.core.jobs.progress import STAGES, progress
from app.core.settings import Settings
from app.core.status.exposition import SILENT
from app.core.status.system_metrics import NAMES as FACTS
from app.core.telemetry.metrics import REGISTRY
from app.core.vocabulary import LANGUAGES, NARRATION, PARSING
from app.openapi.event_schemas import CONTROL, STORED
from workers.boot import OpenRuntime

ROOT = Path(__file__).parents[1]


def test_every_setting_is_documented_with_its_default_and_every_documented_one_exists() -> None:
    rows = dict(re.findall(r"^\| `SMARTVOICE_(\w+)` \| (.*?) \|", (ROOT / "docs/run/settings.md").read_text(), re.M))
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert rows.keys() == fields.keys()
    for name, field in fields.items():
        default = getattr(field.default, "get_secret_value", lambda value=field.default: value)()
        assert rows[name] == (f"`{default}`" if str(default) else "")


def test_jobs_are_enqueued_by_the_names_that_actors_have() -> None:
    broker = StubBroker(middleware=[OpenRuntime(Settings())])
    dramatiq.set_broker(broker)
    # Actors register with the broker that is set when they load.
    importlib.import_module("workers.jobs.actors")
    assert {actor.queue_name: name for name, actor in broker.actors.items()} == ACTORS


AUDIO_STAGES = [
    ("queued", 0, "0/3", "排队", "Queued", "等待生成", "Waiting to start"),
    ("start", 10, "1/3", "初始化", "Preparing", "开始生成音频", "Starting audio generation"),
    ("synthesis", 30, "2/3", "音频合成", "Synthesis", "正在调用 TTS 服务", "Calling the TTS service"),
    ("upload", 90, "3/3", "完成", "Finishing", "音频已上传到存储", "Audio uploaded to storage"),
    ("done", 100, "3/3", "完成", "Finishing", "音频生成完成", "Audio generation complete"),
]


@pytest.mark.parametrize("row", AUDIO_STAGES, ids=[row[0] for row in AUDIO_STAGES])
def test_audio_stages_say_what_they_always_said(row: tuple[str, int, str, str, str, str, str]) -> None:
    stage, percentage, step, zh_step, en_step, zh_message, en_message = row
    for language, current_step, message in (("zh-CN", zh_step, zh_message), ("en", en_step, en_message)):
        told = progress(NARRATION, stage, language)  # type: ignore[arg-type] # one of the two languages
        assert (told.percentage, f"{told.step}/{told.total_steps}") == (percentage, step)
        assert (told.current_step, told.message) == (current_step, message)


def test_parse_stages_have_their_percentages() -> None:
    percentages = {stage: progress(PARSING, stage, "en").percentage for stage in STAGES[PARSING]}
    assert percentages == {"queued": 0, "read": 10, "convert": 30, "split": 90, "done": 100, "retrying": 0}


def test_synthesis_goes_from_30_to_90_with_its_units() -> None:
    told = [progress(NARRATION, "synthesis", "en", done=done, total=7).percentage for done in range(8)]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (30, 90)


def test_every_stage_speaks_every_language() -> None:
    for stages in STAGES.values():
        for stage in stages.values():
            for language in LANGUAGES:
                assert stage.message[language]
                assert stage.current_step[language]


def test_every_test_that_the_security_pages_name_exists() -> None:
    page = (ROOT / "docs/run/security.md").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert not [name for name in named if f"def {name}(" not in tests]
    assert not [name for name in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", page) if not (ROOT / name).exists()]


def exported() -> set[str]:
    """The names of all metrics, as Prometheus' queries have them."""
    told = {f"{family.name}{'_total' * (family.type == 'counter')}" for family in REGISTRY.collect()}
    return {name for name in told if name.startswith("smartvoice_")} | {name for name, _ in (*FACTS, SILENT)}


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    rows = re.findall(
        r"^\| `(smartvoice_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", (ROOT / "docs/run/metrics.md").read_text(), re.M
    )
    assert {name for name, *_ in rows} == exported()
    described = {f"{family.name}{'_total' * (family.type == 'counter')}": family for family in REGISTRY.collect()}
    for name, kind, _, text in rows:
        if family := described.get(name):
            assert (kind, text) == (family.type, family.documentation)


def test_every_event_is_documented() -> None:
    page = "\n".join((ROOT / "docs" / name).read_text() for name in ("develop/guide.md", "use/book.md"))
    assert not [name for name in (*STORED, *CONTROL) if f"`{name}`" not in page]


def test_every_code_of_a_problem_or_of_a_failed_job_is_documented() -> None:
    page = "\n".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    missing = sorted(code for code in codes() if f"`{code}`" not in page)
    assert not missing, missing


def codes() -> set[str]:
    """Every stable code that stands in the program: of problems, of failed jobs, and those that the pages know."""
    page = (ROOT / "static/js/messages/en.js").read_text()
    found = {kind.default_code for kind in Problem.__subclasses__()} | set(
        re.findall(r'"error\.(\w+)"', page)
    ) - OF_PAGES
    for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                found |= _codes_of(node)
    return found


OF_PAGES = {"network", "unexpected"}
"""What pages say of their own accord."""


def _codes_of(call: ast.Call) -> set[str]:
    given = [word.value for word in call.keywords if word.arg == "code"]
    if isinstance(call.func, ast.Name) and call.func.id == "JobError":
        given += call.args[:1]
    return {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_every_command_and_option_is_documented() -> None:
    page = (ROOT / "docs/use/commands.md").read_text()
    sections = dict(re.findall(r"^## `smartvoice ([\w -]+?)`\n(.*?)(?=^## |\Z)", page, re.M | re.S))
    commands = dict(_commands(typer.main.get_command(cli), ""))
    assert sections.keys() == commands.keys()
    for name, options in commands.items():
        assert set(re.findall(r"`(--[\w-]+)", sections[name])) == options, name


def _commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    if hasattr(command, "commands"):
        for part, inner in command.commands.items():
            yield from _commands(inner, f"{name} {part}".strip())
    else:
        options = {one for parameter in command.params for one in parameter.opts if one.startswith("--")}
        yield name, options - {"--help"}


def test_both_languages_of_the_readme_say_the_same() -> None:
    english, chinese = ((ROOT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
    assert _shape(chinese) == _shape(english)


def _shape(page: str) -> dict[str, list[str]]:
    """What stands in a page whatever its language: the levels of its headings, its commands, where its links lead."""
    blocks = re.findall(r"```sh\n(.*?)```", page, re.S)
    code = [line for block in blocks for line in block.splitlines() if not line.startswith("#")]
    links = [link.replace("-zh.png", ".png") for link in re.findall(r"\]\(([^)]+)\)", page)]
    return {
        "headings": re.findall(r"^#+(?= )", re.sub(r"```.*?```", "", page, flags=re.S), re.M),
        "code": code,
        "commands": re.findall(r"^\| (`smartvoice.*?) \|", page, re.M),
        "links": [link for link in links if not link.startswith("README")],
    }


def test_everything_that_the_pages_link_to_exists() -> None:
    pages = [path for path in ROOT.rglob("*.md") if not {".venv", "node_modules", "build", "texts"} & set(path.parts)]
    links = [
        (page, *link) for page in pages for link in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text())
    ]
    ours = [(page, page.parent / path if path else page, anchor) for page, path, anchor in links if ":" not in path]
    assert len(ours) > 50
    assert not [(page.name, str(target)) for page, target, _ in ours if not target.exists()]
    assert not [
        (page.name, str(target), anchor) for page, target, anchor in ours if anchor and anchor not in _anchors(target)
    ]


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_target_of_make_is_explained() -> None:
    page = (ROOT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", page, re.M)[1].split())  # type: ignore[index] # it is there
    assert set(re.findall(r"^([\w-]+):.*## \S", page, re.M)) == targets
