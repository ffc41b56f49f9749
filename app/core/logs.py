"""Logs: structured, one line each, for people at a terminal and as JSON elsewhere. Never a secret, token or text."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Literal, TextIO

import structlog

from app.core import tracing

_JSON = json.JSONEncoder(ensure_ascii=False, default=repr)


def configure_logs(form: Literal["auto", "console", "json"] = "auto", stream: TextIO | None = None) -> None:
    """Sets the form of this process' logs, and where they go: `stream`, or what is stderr by then. Standard logging
    (uvicorn's, Dramatiq's) keeps its own.

    What was bound with `structlog.contextvars` (the id of the request, the job) stands in every line, and the span that
    it belongs to, where there are traces.
    """
    for_people = form == "console" or (form == "auto" and sys.stderr.isatty())
    logging.getLogger("httpx").setLevel(logging.WARNING)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if for_people else structlog.processors.JSONRenderer(serializer=_line)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *([tracing.into_log] if tracing.wanted() else []),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        # Looked up for each line: what was stderr when this was set may be closed by then.
        logger_factory=lambda *_: structlog.PrintLogger(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def _line(event: Any, **_: Any) -> str:
    return _JSON.encode(event)
