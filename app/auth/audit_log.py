"""The audit log: who signed in, who was refused and why, what changed. Never a secret, token, cookie, ticket or
link."""

from __future__ import annotations

from typing import Any

import structlog
from starlette.requests import HTTPConnection

logger = structlog.get_logger()

COMMAND_LINE = "command line"
_MAX_LENGTH = 200


def record(event: str, address: str, *, user: str | None = None, reason: str | None = None) -> None:
    """One line.

    Args:
        event: what happened, such as `signed_in` or `token_refused`.
        address: from where, or `COMMAND_LINE`.
        user: whom it concerns: an id, or a name as somebody typed it.
        reason: a code, where there is one.
    """
    said = {"user": user and user[:_MAX_LENGTH], "reason": reason and reason[:_MAX_LENGTH]}
    logger.info(
        event, logger="audit", address=address, **{name: value for name, value in said.items() if value is not None}
    )


def address_of(request: HTTPConnection[Any]) -> str:
    """Return the client's address, as the server sees it or a trusted proxy reports it."""
    return request.client.host if request.client else "unknown"
