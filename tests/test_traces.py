"""Traces of real processes: one from the request through all attempts at its job to the voice engine; nothing else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.core.settings import Settings
from tests.faults.rig import Worker
from tests.faults.scene import USER, Scene, paragraphs, staged
from tests.otlp_collector import Collector, Span, Way
from tests.secret_leaks import leaks
from tests.stack import environment
from tests.support import Client, until
from tests.tts_ways import failing

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TEXTS = paragraphs(6)
TITLE = "The Lamp"
NARRATE = "POST /api/projects/{project}/chapters/{chapter}/audio"
STREAM = "GET /api/events"
ATTEMPT = "process audio-generation"
BEFORE = 4  # of the title and three texts, when the fourth is being spoken
STOP_SECONDS = 20.0  # less than the sender would wait, or systemd
HASTY = {"lease_seconds": 3, "requeue_seconds": 1.5, "retry_seconds": 0.1, "tts_tries": 1}


@dataclass
class Story:
    """What was sent, and what happened meanwhile."""

    collector: Collector
    job: str
    path: str
    secrets: list[str]
    stream_closed: int  # nanoseconds of Unix time
    lines: list[dict[str, Any]]

    @property
    def request(self) -> Span:
        [span] = self.collector.named(NARRATE)
        return span

    @property
    def attempts(self) -> list[Span]:
        return self.collector.named(ATTEMPT)

    @property
    def taken(self) -> list[dict[str, Any]]:
        """What the log says of the attempts, in order."""
        return [line for line in self.lines if line["event"] == "taken" and line["job"] == self.job]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    """A narration asked for within a trace, which takes several attempts."""
    with Collector() as collector:
        yield asyncio.run(told(collector))


async def told(collector: Collector) -> Story:
    async with staged(collector.variables, **HASTY) as scene:
        worker = await scene.worker()
        project, chapter = await scene.book(TEXTS, TITLE)
        path = f"/api/projects/{project}/chapters/{chapter}/audio"
        ticket = (await scene.http.post("/api/events/tickets")).json()["ticket"]
        anybody = httpx.AsyncClient(base_url=scene.web.address, trust_env=False, timeout=30)
        async with anybody, Client(anybody).stream(params={"ticket": ticket}) as stream:
            await stream.next("ready")
            await Client(scene.http).poll()
            job = await narrated(scene, worker, collector, path)
            await stream.next("audio:complete")
            closed = time.time_ns()
        for path_of_none in ("/api/projects/none", f"/nothing/{TEXTS[0]}"):
            assert (await scene.http.get(path_of_none)).status_code == httpx.codes.NOT_FOUND
        assert [await scene.web.stop(), await worker.stop()] == [0, 0]
        token = scene.http.headers["Authorization"].partition(" ")[2]
        secrets = [ticket, token, USER, TITLE, *TEXTS]
        return Story(collector, job, path, secrets, closed, [*lines(scene.web.output), *lines(worker.output)])


async def narrated(scene: Scene, worker: Worker, collector: Collector, path: str) -> str:
    """The job of a narration whose worker is killed, then finds the voice service failing, then is told to stop."""
    scene.tts.hold(TEXTS[3].__eq__)
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": f"tests={TITLE}"}
    answer = await scene.http.post(path, headers=headers)
    job = str(answer.json()["id"])
    await until(lambda: scene.tts.held and len(collector.named("speak")) == BEFORE)
    worker.kill()
    scene.tts.misbehave(failing(503))
    scene.tts.hold(TEXTS[4].__eq__)
    await worker.restart()
    await until(lambda: scene.tts.calls[TEXTS[4]] and scene.tts.held)
    await worker.stop()
    # Nothing is sent any more, and all of it is there.
    assert len(collector.named(ATTEMPT)) == 2
    scene.tts.release()
    await worker.restart()
    assert (await scene.ended(job))["state"] == "completed"
    return job


def lines(output: str) -> list[dict[str, Any]]:
    """What a process logged by itself, not through its libraries."""
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


def test_request_goes_on_with_the_trace_that_it_came_with(story: Story) -> None:
    span = story.request
    assert (span.service, span.kind, span.trace, span.parent) == ("smartvoice-web", "server", TRACE, CALLER)
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/api/projects/{project}/chapters/{chapter}/audio",
        "http.response.status_code": 202,
        "url.path": story.path,
        "url.scheme": "http",
    }


def test_attempts_after_a_kill_a_fault_and_a_restart_belong_to_the_request(story: Story) -> None:
    attempts = story.attempts
    assert {(span.service, span.kind, span.trace) for span in attempts} == {("smartvoice-worker", "consumer", TRACE)}
    assert {span.parent for span in attempts} == {story.request.id}
    same = {"smartvoice.job": story.job, "smartvoice.queue": "audio-generation"}
    # The first was killed before it ended. A busy machine may lose another before the last.
    last = attempts[-1].attributes["smartvoice.attempt"]
    assert last == len(story.taken)
    assert [(span.failed, span.attributes) for span in (*attempts[:2], attempts[-1])] == [
        (True, {**same, "smartvoice.attempt": 2, "smartvoice.outcome": "retrying", "error.type": "tts_failed"}),
        (False, {**same, "smartvoice.attempt": 3, "smartvoice.outcome": "handed_back"}),
        (False, {**same, "smartvoice.attempt": last, "smartvoice.outcome": "completed"}),
    ]


def test_calls_of_the_engine_belong_to_their_attempt(story: Story) -> None:
    calls = story.collector.named("speak")
    first, second, third, *_, last = dict.fromkeys(span.parent for span in calls)
    assert [second, third, last] == [span.id for span in (*story.attempts[:2], story.attempts[-1])]
    assert story.taken[0]["span_id"] == first
    assert {(span.trace, span.kind, span.attributes["smartvoice.engine"]) for span in calls} == {
        (TRACE, "internal", "openai")
    }
    assert [span.attributes.get("error.type") for span in calls if span.failed] == ["tts_failed"]
    # The third attempt was ended in the middle of one.
    good = [span for span in calls if "smartvoice.seconds" in span.attributes]
    assert [span.attributes["smartvoice.characters"] for span in good][1:] == [len(text) for text in TEXTS]
    assert all(span.attributes["smartvoice.seconds"] > 1 for span in good[1:])


def test_streams_and_polls_are_told_by_their_openings_and_events_not_at_all(story: Story) -> None:
    openings = story.collector.named(STREAM)
    assert [span.attributes["http.response.status_code"] for span in openings] == [200, 200]
    assert all(span.ended < story.stream_closed for span in openings)
    assert all(span.ended < story.attempts[0].began for span in openings)
    names = {span.name for span in story.collector.spans}
    assert names == {
        NARRATE,
        STREAM,
        "GET",
        "GET /api/jobs/{queue}/{job}",
        "GET /api/projects/{project}",
        "GET /readyz",
        "POST /api/events/tickets",
        "POST /api/projects",
        ATTEMPT,
        "process text-parsing",
        "speak",
    }


def test_request_without_a_trace_begins_one_that_its_job_belongs_to(story: Story) -> None:
    [request] = story.collector.named("POST /api/projects")
    [parsing] = story.collector.named("process text-parsing")
    assert (request.parent, request.trace == TRACE) == ("", False)
    assert (parsing.trace, parsing.parent) == (request.trace, request.id)


def test_nothing_that_is_sent_tells_a_secret_a_text_or_a_name(story: Story) -> None:
    raw = story.collector.raw
    assert story.job.encode() in raw
    assert not [secret for secret in story.secrets if secret.encode() in raw]
    assert not leaks(raw.decode("latin-1"))
    assert b"nothing" not in raw


def test_lines_of_the_log_say_which_span_they_belong_to(story: Story) -> None:
    assert {line["trace_id"] for line in story.taken} == {TRACE}
    assert {line["span_id"] for line in story.taken} > {span.id for span in story.attempts}
    [refused] = [line for line in story.lines if line["event"] == "refused"]
    [span] = [span for span in story.collector.spans if span.id == refused["span_id"]]
    assert (span.trace, span.attributes["http.response.status_code"]) == (refused["trace_id"], 404)
    streams = [line for line in story.lines if line["event"] in {"stream_opened", "stream_closed"}]
    assert ["span_id" in line for line in streams] == [False, False]


@pytest.mark.parametrize("way", ["hangs", "refuses"])
async def test_collector_that_is_no_use_holds_nothing_up(way: Way) -> None:
    with Collector(way) as collector:
        async with staged({**collector.variables, "OTEL_EXPORTER_OTLP_TIMEOUT": "60"}) as scene:
            worker = await scene.worker()
            project, chapter = await scene.book(TEXTS)
            job = await scene.narrate(project, chapter)
            assert (await scene.ended(job))["state"] == "completed"
            await until(lambda: len(collector.bodies) >= 2)
            told_to = time.monotonic()
            assert list(await asyncio.gather(scene.web.stop(), worker.stop())) == [0, 0]
            assert time.monotonic() - told_to < STOP_SECONDS
            for output in (scene.web.output, worker.output):
                assert output.count("traces_in_trouble") == (way == "refuses")
                assert "Traceback" not in output
    assert collector.spans == []


BOTH_SIDES = """
import asyncio, sys
from app.core.settings import Settings
from app.main import create_app
from workers import boot
from workers.runtime import context

async def open_both():
    app = create_app(Settings())
    async with app.router.lifespan_context(app), context.opened(Settings()):
        pass

boot.setup()
import workers.jobs.actors
asyncio.run(open_both())
print(*sorted(name for name, module in sys.modules.items() if module and name.startswith("opentelemetry")))
"""


def opened(settings: Settings, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process that opens both sides, as the two commands do."""
    mine = {"SMARTVOICE_REDIS_URL": settings.redis_url, "SMARTVOICE_DATA_DIR": str(settings.data_dir), **variables}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment(mine), capture_output=True, text=True, timeout=60, check=True
    )


def test_without_variables_nothing_of_opentelemetry_is_loaded(settings: Settings) -> None:
    told = BOTH_SIDES.splitlines()[-1]
    # redis-py loads what it would count with, wherever that is installed.
    of_redis = opened(settings, f"import redis, sys\n{told}").stdout.split()
    assert opened(settings, BOTH_SIDES).stdout.split() == of_redis
    assert not [name for name in of_redis if name.startswith(("opentelemetry.sdk.trace", "opentelemetry.exporter"))]
    assert "opentelemetry.sdk.trace" in opened(settings, BOTH_SIDES, OTEL_TRACES_EXPORTER="otlp").stdout.split()


def test_without_its_packages_one_line_for_each_side_says_what_to_install(settings: Settings) -> None:
    absent = 'import sys\nsys.modules["opentelemetry"] = None\n'
    done = opened(settings, absent + BOTH_SIDES, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    warnings = [line for line in lines(done.stderr) if line["level"] == "warning"]
    assert [(line["event"], "pip install 'smartvoice[otel]'" in line["message"]) for line in warnings] == [
        ("traces_need_packages", True)
    ] * 2
    assert done.stdout.split() == []
