"""Voice engines are found by name, whoever made them, and hold what they promise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import pytest

from app.core import voice_engines
from app.core.settings import Settings
from tests.programs import missing
from tests.stack import Stack, environment, running
from tests.support import Client
from tests.workers.narrating import engine_told, narrated
from workers.audio.pcm import Pcm
from workers.engines.conformance import EngineConformance
from workers.engines.espeak import Espeak
from workers.engines.registry import NoEngine, engine_of
from workers.speech.engine import Engine

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "tests" / "plugin"


class TestEspeakConforms(EngineConformance):
    def engine(self) -> Engine:
        return Espeak()


class _Careless(Espeak):
    """An engine that breaks what an engine promises."""

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        return Pcm(bytes(100), 22_050)


class _Conformance(EngineConformance):
    def engine(self) -> Engine:
        return _Careless()


@pytest.mark.parametrize("broken", ["test_it_speaks_at_a_plausible_pace", "test_voice_that_is_not_there_is_refused"])
def test_engine_that_breaks_its_promise_does_not_conform(broken: str) -> None:
    with pytest.raises(AssertionError):
        getattr(_Conformance(), broken)()


def test_engine_that_is_not_installed_is_named_with_those_that_are() -> None:
    with pytest.raises(NoEngine, match=r"'bark' is installed here.*espeak, openai, piper"):
        engine_of(Settings(tts_engine="bark"))


@pytest.mark.parametrize(
    ("value", "group", "in_worker"),
    [
        ("smartvoice_hum:make", "smartvoice.engines", False),
        ("smartvoice_hum:make", "smartvoice.worker_engines", True),
        ("workers.engines.openai:make", "smartvoice.engines", True),
    ],
)
def test_plugin_runs_apart_unless_it_belongs_into_the_worker(value: str, group: str, in_worker: bool) -> None:
    assert voice_engines.in_worker(EntryPoint("hum", value, group)) is in_worker


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a plugin is installed into by pip, as anybody installs it."""
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(PLUGIN)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        missing(f"pip cannot build the plugin; is its index within reach? {done.stderr}")
    return site


@pytest.fixture
def stack(site: Path) -> Iterator[Stack]:
    with running(SMARTVOICE_TTS_ENGINE="hum", PYTHONPATH=f"{site}:{ROOT}") as stack:
        yield stack


def test_author_of_an_engine_runs_what_it_must_hold(site: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", PLUGIN / "check_hum.py"],
        env=environment({"PYTHONPATH": f"{site}:{ROOT}"}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout


async def test_plugin_narrates_when_it_is_named(stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False, timeout=60) as http:
        assert await engine_told(http) == "hum"
        doctor = stack.command("doctor")
        assert "engine hum; installed are: espeak, hum, openai, piper" in doctor
        assert "✗" not in doctor
        _, chapter = await narrated(Client(http), "The tide came in.", voice="low")
        sound = await http.get(chapter["audioUrl"])
        assert sound.headers["content-type"] == "audio/mpeg"
        assert len(sound.content) > 1000
