"""Traces by OpenTelemetry, where its standard variables ask for them; elsewhere nothing of it is so much as imported.

A trace goes from process to process as a `traceparent` (W3C Trace Context): with a request to the web side, and in the
job's record to the workers. Spans are of requests, attempts at jobs and calls of a voice engine, never of events.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal, Protocol

import structlog

logger = structlog.get_logger()

Kind = Literal["server", "consumer", "internal"]
Attributes = Mapping[str, str | int | float]
"""What a span says, by OpenTelemetry's names where it has one. Never a text, a credential or the name of a user."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


class Tracer(Protocol):
    """What makes spans and sends them: `app.core.telemetry.otel.Otel`."""

    def span(
        self, name: str, kind: Kind, parent: str | None, attributes: Attributes
    ) -> AbstractContextManager[object]: ...

    def note(self, attributes: Attributes) -> None: ...

    def finish(self, name: str | None) -> None: ...

    def traceparent(self) -> str: ...

    def ids(self) -> dict[str, str]: ...

    def close(self) -> None: ...


_tracer: Tracer | None = None
_NOTHING = nullcontext()


def wanted() -> bool:
    """Whether the environment asks for traces: it names where they go, or `otlp` as what sends them."""
    if _variable("OTEL_SDK_DISABLED").lower() == "true":
        return False
    exporters = _exporters()
    return "otlp" in exporters if exporters else any(_variable(name) for name in _ENDPOINTS)


@contextmanager
def running(service: str) -> Iterator[None]:
    """Sends this process' spans while the context is open, if traces are `wanted`; at its end what is left, or two
    seconds' worth of it. `service` is the process' name, where no variable says another.

    To be opened in the process that does the work: spans are sent by a thread, which would not live through a fork.
    """
    global _tracer
    _tracer = tracer = _made(service) if wanted() else None
    try:
        yield
    finally:
        _tracer = None
        if tracer is not None:
            tracer.close()


def span(
    name: str, kind: Kind = "internal", *, parent: str | None = None, attributes: Attributes | None = None
) -> AbstractContextManager[object]:
    """A span for as long as the context is open; an exception that leaves it marks it as failed.

    It belongs to the span around it; with a `parent`, a `traceparent` from elsewhere, to that one, and where this is
    empty or malformed a trace begins.
    """
    return _NOTHING if _tracer is None else _tracer.span(name, kind, parent, attributes or {})


def note(attributes: Attributes) -> None:
    """Adds to the span around this; `error.type` marks it as failed."""
    if _tracer is not None:
        _tracer.note(attributes)


def finish(name: str | None = None) -> None:
    """Ends the span around this, before its context does, under another `name` where there is one."""
    if _tracer is not None:
        _tracer.finish(name)


def traceparent() -> str:
    """The span around this, for whoever goes on with it elsewhere; empty where there is none."""
    return "" if _tracer is None else _tracer.traceparent()


def into_log(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Has a line of the log say which span it belongs to: `trace_id`, `span_id`."""
    if _tracer is not None:
        line.update(_tracer.ids())
    return line


def _made(service: str) -> Tracer | None:
    for name, value in _not_spoken():
        logger.warning(
            "traces_otherwise", variable=name, value=value, message="Traces are sent as OTLP over HTTP only."
        )
    try:
        from app.core.telemetry.otel import Otel

        return Otel(service)
    except ImportError:
        logger.warning("traces_need_packages", message="Traces need packages: pip install 'smartvoice[otel]'")
    except ValueError as error:
        logger.warning("traces_not_sent", message=f"OpenTelemetry does not understand its variables: {error}")
    return None


def _not_spoken() -> Iterator[tuple[str, str]]:
    """Variables that ask for what is not there."""
    for name in _PROTOCOLS:
        if _variable(name) not in {"", "http/protobuf"}:
            yield name, _variable(name)
    for exporter in _exporters() - {"otlp", "none"}:
        yield "OTEL_TRACES_EXPORTER", exporter


def _exporters() -> set[str]:
    return {name.strip() for name in _variable("OTEL_TRACES_EXPORTER").split(",")} - {""}


def _variable(name: str) -> str:
    """An empty one counts as not set, as OpenTelemetry has it."""
    return os.environ.get(name, "").strip()
