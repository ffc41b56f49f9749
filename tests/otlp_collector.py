"""A collector of OpenTelemetry's traces on loopback (OTLP over HTTP), as good or as bad as it is told to be.

with Collector() as collector:
    ...  # a process with the variables `collector.variables`
    assert collector.spans[0].name == "GET /healthz"
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

Way = Literal["takes", "refuses", "hangs"]


@dataclass(frozen=True)
class Span:
    """A span as it was sent; ids in hex, times in nanoseconds of Unix time."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    began: int
    ended: int

    @classmethod
    def of(cls, sent: SentSpan, service: str) -> Self:
        return cls(
            service=service,
            name=sent.name,
            kind=SentSpan.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_").lower(),
            trace=sent.trace_id.hex(),
            id=sent.span_id.hex(),
            parent=sent.parent_span_id.hex(),
            attributes=_plain(sent.attributes),
            failed=sent.status.code == Status.STATUS_CODE_ERROR,
            began=sent.start_time_unix_nano,
            ended=sent.end_time_unix_nano,
        )


@dataclass
class Collector:
    """The collector; a context manager. `bodies` are the requests that came, whatever became of them."""

    way: Way = "takes"
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.collector = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def raw(self) -> bytes:
        """Every byte that was sent."""
        return b"".join(self.bodies)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that sends its traces here, as soon as it has any."""
        address = f"http://127.0.0.1:{self._server.server_port}"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50", "NO_PROXY": "127.0.0.1"}

    def named(self, name: str) -> list[Span]:
        """The spans of that name, by when they began."""
        return sorted((span for span in list(self.spans) if span.name == name), key=lambda span: span.began)

    def take(self, path: str, body: bytes) -> HTTPStatus:
        """What it does with a request."""
        self.bodies.append(body)
        if self.way == "hangs":
            self._released.wait()
        if self.way != "takes" or path != "/v1/traces":
            return HTTPStatus.BAD_REQUEST
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _plain(group.resource.attributes)["service.name"]
            self.spans += [Span.of(sent, service) for scope in group.scope_spans for sent in scope.spans]
        return HTTPStatus.OK


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    collector: Collector


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.collector.take(self.path, body)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _plain(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    one: KeyValue
    for one in attributes:
        found[one.key] = getattr(one.value, str(one.value.WhichOneof("value")))
    return found
