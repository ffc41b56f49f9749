"""Promises that stand in prose, held against the code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker

from app.core.messages import LANGUAGES, NARRATION, PARSING, STAGES, progress
from app.core.queue import ACTORS
from app.core.settings import Settings
from workers.broker import OpenRuntime

ROOT = Path(__file__).parents[1]


def test_every_setting_is_documented_with_its_default_and_every_documented_one_exists() -> None:
    rows = dict(re.findall(r"^\| `SMARTVOICE_(\w+)` \| (.*?) \|", (ROOT / "docs/settings.md").read_text(), re.M))
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert rows.keys() == fields.keys()
    for name, field in fields.items():
        default = getattr(field.default, "get_secret_value", lambda value=field.default: value)()
        assert rows[name] == (f"`{default}`" if str(default) else "")


def test_jobs_are_enqueued_by_the_names_that_actors_have() -> None:
    broker = StubBroker(middleware=[OpenRuntime(Settings())])
    dramatiq.set_broker(broker)
    # Actors register with the broker that is set when they load.
    importlib.import_module("workers.actors")
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
    page = (ROOT / "docs/security.md").read_text()
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert not [name for name in named if f"def {name}(" not in tests]
    assert not [name for name in re.findall(r"`(tests/[\w/]+(?:\.py)?)`", page) if not (ROOT / name).exists()]
