"""Spans: when they are sent, what they say, and that without their variables there are none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from app.core.errors import JobError
from app.core.telemetry import tracing
from app.middleware.request_tracing import RequestTracing
from tests.otlp_collector import Collector
from tests.support import until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "the keeper of the lamp"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that this process' traces are sent to."""
    with Collector() as collector:
        for name, value in collector.variables.items():
            monkeypatch.setenv(name, value)
        yield collector


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: "http://collector:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", ENDPOINT: "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "True", ENDPOINT: "http://collector:4318"}, False),
        ({"OTEL_SDK_DISABLED": "false", ENDPOINT: "http://collector:4318"}, True),
    ],
)
def test_traces_are_wanted_as_the_standard_variables_say(
    variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracing.wanted() is wanted


def test_without_variables_there_is_no_span_to_go_on_with() -> None:
    with tracing.running("test"), tracing.span("anything"):
        tracing.note({"smartvoice.seconds": 1.5})
        assert tracing.traceparent() == ""
        assert tracing.into_log(None, "", {"event": "something"}) == {"event": "something"}


def test_span_goes_on_with_the_trace_it_is_given_and_passes_it_on(collector: Collector) -> None:
    parent, attributes = f"00-{TRACE}-{PARENT}-01", {"smartvoice.attempt": 2}
    with tracing.running("test"), tracing.span("outer", "consumer", parent=parent, attributes=attributes):
        told = tracing.into_log(None, "", {})
        carried = tracing.traceparent()
        with tracing.span("inner"):
            tracing.note({"smartvoice.seconds": 1.5})
    [inner], [outer] = collector.named("inner"), collector.named("outer")
    assert (outer.trace, outer.parent, outer.kind) == (TRACE, PARENT, "consumer")
    assert (inner.trace, inner.parent, inner.kind) == (TRACE, outer.id, "internal")
    assert (outer.attributes, inner.attributes) == ({"smartvoice.attempt": 2}, {"smartvoice.seconds": 1.5})
    assert told == {"trace_id": TRACE, "span_id": outer.id}
    assert carried == f"00-{TRACE}-{outer.id}-01"
    assert not outer.failed


@pytest.mark.parametrize("parent", ["", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"])
def test_malformed_trace_is_not_gone_on_with(collector: Collector, parent: str) -> None:
    with tracing.running("test"), tracing.span("outer"), tracing.span("request", "server", parent=parent):
        pass
    [outer], [request] = collector.named("outer"), collector.named("request")
    assert (request.parent, request.trace == outer.trace) == ("", False)


def test_trace_that_its_beginner_does_not_sample_is_passed_on_and_not_sent(collector: Collector) -> None:
    with tracing.running("test"), tracing.span("request", "server", parent=f"00-{TRACE}-{PARENT}-00"):
        carried = tracing.traceparent()
        assert tracing.into_log(None, "", {}) == {}
    assert carried.startswith(f"00-{TRACE}-")
    assert carried.endswith("-00")
    assert collector.spans == []


def test_failed_span_tells_the_code_and_not_what_was_said(collector: Collector) -> None:
    with tracing.running("test"):
        with pytest.raises(JobError), tracing.span("speak"):
            raise JobError("tts_refused", SECRET)
        with pytest.raises(OSError, match=SECRET), tracing.span("read"):
            raise OSError(SECRET)
    assert [(span.failed, span.attributes) for span in collector.spans] == [
        (True, {"error.type": "tts_refused"}),
        (True, {"error.type": "OSError"}),
    ]
    assert SECRET.encode() not in collector.raw


def test_process_bears_the_name_that_the_environment_gives_it(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = []
    for variable, value in (("", ""), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a"), ("OTEL_SERVICE_NAME", "b")):
        if variable:
            monkeypatch.setenv(variable, value)
        with tracing.running("smartvoice-test"), tracing.span("anything"):
            pass
        names.append(collector.spans[-1].service)
    assert names == ["smartvoice-test", "a", "b"]


async def test_request_that_breaks_is_told_as_500(collector: Collector) -> None:
    scope: Scope = {"type": "http", "method": "BREW", "path": f"/{SECRET}", "scheme": "http", "headers": []}

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError(SECRET)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError("nothing is answered")

    with tracing.running("test"), pytest.raises(ValueError, match=SECRET):
        await RequestTracing(broken)(scope, receive, send)
    [span] = collector.spans
    assert (span.name, span.kind, span.failed) == ("HTTP", "server", True)
    assert span.attributes == {
        "http.request.method": "_OTHER",
        "http.response.status_code": 500,
        "url.scheme": "http",
        "error.type": "500",
    }
    assert SECRET.encode() not in collector.raw


async def test_request_ends_with_the_head_of_its_answer(collector: Collector) -> None:
    scope: Scope = {"type": "http", "method": "GET", "path": "/audios/a.mp3", "scheme": "https", "headers": []}
    told: list[object] = []

    async def long(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = Route("/audios/{name}.mp3", long)
        await send({"type": "http.response.start", "status": 206, "headers": []})
        told.append(tracing.into_log(None, "", {}))
        await until(lambda: collector.named("GET /audios/{name}.mp3"))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        told.append(message["type"])

    with tracing.running("test"):
        await RequestTracing(long)(scope, receive, send)
    assert told == ["http.response.start", {}]
    [span] = collector.spans
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 206,
        "http.route": "/audios/{name}.mp3",
        "url.path": "/audios/a.mp3",
        "url.scheme": "https",
    }
    assert not span.failed


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "traces_otherwise"),
        ("OTEL_TRACES_EXPORTER", "otlp,zipkin", "traces_otherwise"),
        ("OTEL_TRACES_SAMPLER", "nonsense", "traces_in_trouble"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "traces_not_sent"),
    ],
)
def test_variable_that_asks_for_what_is_not_there_is_told(
    collector: Collector, variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with capture_logs() as told, tracing.running("test"), tracing.span("anything"):
        pass
    assert [one["event"] for one in told] == [line]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (ENDPOINT, f"http://127.0.0.1:1/?key={PARENT}", "ConnectionError"),
        ("OTEL_EXPORTER_OTLP_HEADERS", f"api-key: {PARENT}", "Header"),
    ],
)
def test_trouble_is_told_without_the_keys_that_stand_in_variables(
    collector: Collector, variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with capture_logs() as told, tracing.running("test"), tracing.span("anything"):
        pass
    [line] = told
    assert (line["event"], said in line["message"]) == ("traces_in_trouble", True)
    assert PARENT not in str(line)


async def test_collector_that_refuses_is_told_of_once(collector: Collector) -> None:
    collector.way = "refuses"
    with capture_logs() as told, tracing.running("test"):
        for _ in range(3):
            asked = len(collector.bodies)
            with tracing.span("anything"):
                pass
            await until(lambda asked=asked: len(collector.bodies) > asked)
    [line] = told
    assert (line["event"], "400" in line["message"]) == ("traces_in_trouble", True)
