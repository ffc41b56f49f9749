"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP; loaded by `app.core.telemetry.tracing` where wanted.

What can be set is set by the SDK's own variables. A collector that is away or hangs holds nothing up: spans wait in a
queue that drops what is too much, a thread sends them, and at the end that thread is waited for only so long.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.core.telemetry.tracing import Attributes, Kind

logger = structlog.get_logger()

_LAST_SECONDS = 2.0
_QUIET_SECONDS = 60.0
_KINDS = {"server": SpanKind.SERVER, "consumer": SpanKind.CONSUMER, "internal": SpanKind.INTERNAL}
_W3C = TraceContextTextMapPropagator()
_TRACEPARENT = "traceparent"
_ERROR = "error.type"
_WORDS = re.compile(r"[A-Za-z_ ]{1,40}")


class Otel:
    """A provider of our own, with its queue and its thread; of the process it changes only where the SDK's log goes.

    Raises ValueError where a variable makes no sense.
    """

    def __init__(self, service: str) -> None:
        self._troubles = _Troubles()
        self._troubles.listen()
        try:
            self._provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        except ValueError:
            self._troubles.leave()
            raise
        self._tracer = self._provider.get_tracer("smartvoice")

    @contextmanager
    def span(self, name: str, kind: Kind, parent: str | None, attributes: Attributes) -> Iterator[None]:
        # Of what came, `traceparent` alone is taken: `tracestate` is whatever the client writes.
        within = None if parent is None else _W3C.extract({_TRACEPARENT: parent}, Context())
        span = self._tracer.start_span(name, within, _KINDS[kind], dict(attributes))
        # What an exception says may be of a text: it is not recorded.
        with use_span(span, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except Exception as error:
                self.note({_ERROR: str(getattr(error, "code", type(error).__name__))})
                raise
            finally:
                self.finish(None)

    def note(self, attributes: Attributes) -> None:
        span = get_current_span()
        if span.is_recording():
            span.set_attributes(dict(attributes))
            if _ERROR in attributes:
                span.set_status(StatusCode.ERROR)

    def finish(self, name: str | None) -> None:
        span = get_current_span()
        if span.is_recording():
            if name:
                span.update_name(name)
            span.end()

    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get(_TRACEPARENT, "")

    def ids(self) -> dict[str, str]:
        span = get_current_span()
        if not span.is_recording():
            return {}
        context = span.get_span_context()
        return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}

    def close(self) -> None:
        """Sends what is left, or leaves it after two seconds."""
        leaving = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        leaving.start()
        leaving.join(_LAST_SECONDS)
        if not leaving.is_alive():
            self._troubles.leave()


class _Troubles(logging.Handler):
    """Takes what OpenTelemetry logs into our log: a line a minute at most, though each batch fails.

    Of the values in it only numbers, words and the names of errors: others may be an address with a key, or headers.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger("opentelemetry")
        self._quiet_until = 0.0
        self._left_out = 0

    def listen(self) -> None:
        self._logger.addHandler(self)
        self._logger.propagate = False

    def leave(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        if time.monotonic() < self._quiet_until:
            self._left_out += 1
            return
        self._quiet_until = time.monotonic() + _QUIET_SECONDS
        logger.warning("traces_in_trouble", message=_said(record), left_out=self._left_out)
        self._left_out = 0


def _said(record: logging.LogRecord) -> str:
    values = record.args if isinstance(record.args, tuple) else (record.args,)
    error = record.exc_info[0] if record.exc_info else None
    return str(record.msg) % tuple(map(_harmless, values)) + (f" ({error.__name__})" if error else "")


def _harmless(value: Any) -> Any:
    if isinstance(value, BaseException):
        return type(value).__name__
    harmless = isinstance(value, int | float | None) or _WORDS.fullmatch(str(value))
    return value if harmless else "…"


def _resource(service: str) -> Resource:
    """What the environment says of this process; its name, where that says none."""
    found = Resource.create()
    named = str(found.attributes.get(SERVICE_NAME, "")).partition(":")[0]
    return found.merge(Resource({SERVICE_NAME: service})) if named in {"", "unknown_service"} else found
