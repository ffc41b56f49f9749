"""Logs: structured, one line each, for people at a terminal and as JSON elsewhere. Never a secret, token or text."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from pydantic_core import to_json

from app.core.telemetry import tracing
from app.core.timestamps import now


def configure_logs(form: Literal["auto", "console", "json"] = "auto", stream: TextIO | None = None) -> None:
    """Sets the form of this process' logs, and where they go: `stream`, or what is stderr by then. Standard logging
    (uvicorn's, Dramatiq's) keeps its own.

    What was bound with `structlog.contextvars` (the id of the request, the job) stands in every line, and the span that
    it belongs to, where there are traces.
    """
    for_people = form == "console" or (form == "auto" and sys.stderr.isatty())
    logging.getLogger("httpx").setLevel(logging.WARNING)
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if for_people else _line
    # Loggers that have been used hold this list, so it stays the same one.
    _PROCESSORS[:] = [
        structlog.contextvars.merge_contextvars,
        *([tracing.into_log] if tracing.wanted() else []),
        structlog.processors.add_log_level,
        _stamp,
        structlog.processors.format_exc_info,
        renderer,
    ]
    _LINES.stream = stream
    structlog.configure(
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _LINES,
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Writes lines, each at once and in one piece, to `stream`, or to what is stderr by then: what was stderr when
    this was made may be closed."""

    stream: TextIO | None = None

    def msg(self, line: str) -> None:
        out = self.stream or sys.stderr
        out.write(line + "\n")
        out.flush()

    debug = info = warning = warn = error = critical = fatal = exception = failure = log = msg


_PROCESSORS: list[structlog.typing.Processor] = []
_LINES = _Lines()


def _line(_logger: Any, _method: str, event: structlog.typing.EventDict) -> str:
    try:
        return to_json(event, fallback=repr).decode()
    except ValueError:
        # Half of a surrogate pair, as in the name of a file that is no text.
        return json.dumps(event, default=repr)


def _stamp(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    event["timestamp"] = now()
    return event
