"""What `app.server.uvicorn_protocol` relies on within uvicorn: these fail first when a new version changes it."""

from __future__ import annotations

import inspect

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_PROTOCOL = [
    "transport",
    "parser",
    "headers",
    "pipeline",
    "loop",
    "cycle",
    "url",
    "scope",
    "flow",
    "connections",
    "server_state",
]
_CYCLE = [
    "response_complete",
    "response_started",
    "disconnected",
    "message_event",
    "keep_alive",
    "waiting_for_100_continue",
    "transport",
    "scope",
]
_METHODS = [
    "connection_made",
    "connection_lost",
    "data_received",
    "eof_received",
    "pause_writing",
    "resume_writing",
    "on_message_begin",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
    "on_response_complete",
    "_start_asgi_task",
    "_should_upgrade",
    "_unset_keepalive_if_required",
]


@pytest.mark.parametrize("name", _PROTOCOL)
def test_protocol_has_the_attribute(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(HttpToolsProtocol)


@pytest.mark.parametrize("name", _CYCLE)
def test_cycle_has_the_attribute(name: str) -> None:
    assert f"self.{name}" in inspect.getsource(RequestResponseCycle.__init__)


@pytest.mark.parametrize("name", _METHODS)
def test_protocol_has_the_method(name: str) -> None:
    assert callable(getattr(HttpToolsProtocol, name))


def test_flow_tells_whether_reading_is_paused() -> None:
    assert "self.read_paused = " in inspect.getsource(FlowControl)
