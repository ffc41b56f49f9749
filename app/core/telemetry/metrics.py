"""Every metric of SmartVoice: what is counted in this process. How it is shown: `app.core.status.exposition`.

Labels have few values, none of which names a user, a project or a text. What happens for each event and each reader is
an addition to a plain number of `COUNTS`, which is looked at only when somebody asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.core.errors import JobError

REGISTRY = CollectorRegistry()
"""The metrics of this process."""

Transport = Literal["sse", "poll"]

M = TypeVar("M", Counter, Gauge, Histogram)

_CHILDREN: dict[tuple[Any, ...], Any] = {}

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_SAMPLE_SECONDS = 0.1

PUBLISHED = Counter("smartvoice_events_published", "Events appended to logs.", ["type"], registry=REGISTRY)
RESUMES = Counter(
    "smartvoice_stream_resumes",
    "Streams that came back with a cursor: `exact` (nothing was missed), `replayed`, or `reset`.",
    ["outcome"],
    registry=REGISTRY,
)
RESETS = Counter("smartvoice_resets", "Readers that were told to begin anew.", ["transport"], registry=REGISTRY)
STREAMS_CLOSED = Counter("smartvoice_streams_closed", "Streams that ended, by reason.", ["reason"], registry=REGISTRY)
LAG = Histogram(
    "smartvoice_delivery_lag_seconds",
    "From the moment that an event bears to its being written to a reader's connection; ten samples a second at most.",
    buckets=_FAST,
    registry=REGISTRY,
)
PUBSUB_LOST = Counter("smartvoice_pubsub_lost", "Pub/sub connections that were lost.", registry=REGISTRY)

REQUESTS = Counter("smartvoice_http_requests", "Requests answered.", ["method", "route", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram(
    "smartvoice_http_request_seconds",
    "From a request to the head of its answer: a stream counts until it begins.",
    ["method", "route"],
    buckets=_FAST,
    registry=REGISTRY,
)
REFUSALS = Counter(
    "smartvoice_refusals", "Problems told, by code: limits hit among them.", ["code", "status"], registry=REGISTRY
)

JOBS = Counter(
    "smartvoice_jobs",
    "Steps of jobs: `created`, `taken`, `completed`, `failed`, `cancelled`, `retried`, `handed_back`, `requeued`.",
    ["queue", "step"],
    registry=REGISTRY,
)
JOB_FAILURES = Counter("smartvoice_job_failures", "Jobs that failed, by code.", ["queue", "code"], registry=REGISTRY)
JOBS_ACTIVE = Gauge("smartvoice_jobs_active", "Jobs that this process is at.", ["queue"], registry=REGISTRY)
JOB_WAIT = Histogram(
    "smartvoice_job_wait_seconds",
    "Time from creation to first claim.",
    ["queue"],
    buckets=_SLOW,
    registry=REGISTRY,
)
JOB_SECONDS = Histogram("smartvoice_job_seconds", "An attempt at a job.", ["queue"], buckets=_SLOW, registry=REGISTRY)
STAGE_SECONDS = Histogram(
    "smartvoice_job_stage_seconds", "One stage of an attempt.", ["queue", "stage"], buckets=_SLOW, registry=REGISTRY
)
SEGMENTS = Counter(
    "smartvoice_segments", "Segments by where their sound came from: `kept` or `voiced`.", ["source"], registry=REGISTRY
)
VOICE_DEATHS = Counter(
    "smartvoice_voice_deaths",
    "Voice processes that ended within a call: `crashed`, `timeout`, or `killed` from outside.",
    ["ending"],
    registry=REGISTRY,
)
ENGINE_CALLS = Counter(
    "smartvoice_engine_calls", "Segments asked of the voice engine: `ok` or the error's code.", ["engine", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
ENGINE_SECONDS = Histogram(
    "smartvoice_engine_seconds",
    "A segment at the voice engine, tries and pauses included.",
    ["engine"],
    buckets=_SLOW,
    registry=REGISTRY,
)


def labelled(metric: M, *values: str) -> M:
    """The child of `metric` with these labels, which is kept: looking it up costs more than counting."""
    key = (metric, *values)
    child: M | None = _CHILDREN.get(key)
    if child is None:
        child = _CHILDREN[key] = metric.labels(*values)
    return child


class Counts(Collector):
    """Plain numbers that the hot path adds to: streams now, and events since the process began."""

    def __init__(self) -> None:
        self.sse = 0
        self.polls = 0
        self.sent = 0
        self.polled = 0
        self.heard = 0
        self.replayed = 0
        self.conflated = 0

    def collect(self) -> Iterable[Metric]:
        streams = GaugeMetricFamily("smartvoice_streams", "Readers that are connected.", labels=["transport"])
        streams.add_metric(["sse"], self.sse)
        streams.add_metric(["poll"], self.polls)
        delivered = CounterMetricFamily(
            "smartvoice_events_delivered", "Events written to readers: once for each.", labels=["transport"]
        )
        delivered.add_metric(["sse"], self.sent)
        delivered.add_metric(["poll"], self.polled)
        yield from (streams, delivered)
        heard = "Events that came to this process by pub/sub: once for all its readers."
        yield CounterMetricFamily("smartvoice_events_heard", heard, self.heard)
        replayed = "Events read from logs for readers that were behind."
        yield CounterMetricFamily("smartvoice_events_replayed", replayed, self.replayed)
        conflated = "Progress left out of a long backlog because later progress overtakes it."
        yield CounterMetricFamily("smartvoice_events_conflated", conflated, self.conflated)


COUNTS = Counts()
REGISTRY.register(COUNTS)
ProcessCollector(registry=REGISTRY)


class Timestamped(Protocol):
    """An event (`app.core.eventlog.log.LogEntry`)."""

    @property
    def id(self) -> Any: ...

    @property
    def data(self) -> bytes: ...


class LagSampler:
    """Follows one event at a time on its way from the log to a connection."""

    def __init__(self) -> None:
        self._next = 0.0
        self._followed: object = None
        self._began = 0.0

    def heard(self, event: Timestamped) -> None:
        """An event has come. To be told of each."""
        now = time.time()
        if now < self._next:
            return
        self._next = now + _SAMPLE_SECONDS
        _, found, rest = event.data.partition(b'"at":"')
        if found:
            self._followed, self._began = event.id, moment_of(rest.partition(b'"')[0].decode())

    def written(self, events: Iterable[Timestamped]) -> None:
        """These were written to the connections of those who follow them. To be told once for all of these."""
        if self._followed is not None and any(event.id == self._followed for event in events):
            self._followed = None
            LAG.observe(max(0.0, time.time() - self._began))


LAGS = LagSampler()


@contextmanager
def engine_call(engine: str) -> Iterator[None]:
    """Counts and times one segment at a voice engine. A call that is cancelled counts as neither good nor bad."""
    began = time.monotonic()
    try:
        yield
    except JobError as error:
        ENGINE_CALLS.labels(engine, error.code).inc()
        raise
    ENGINE_CALLS.labels(engine, "ok").inc()
    ENGINE_SECONDS.labels(engine).observe(time.monotonic() - began)


def moment_of(at: str) -> float:
    """Unix time of a moment as events have it (RFC 3339, UTC)."""
    return datetime.fromisoformat(at).astimezone(UTC).timestamp()
