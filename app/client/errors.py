"""What can go wrong for who uses a SmartVoice from afar.

ClientError         something that the user can be told
├── Unreachable     nothing answers, or not in time
└── ApiError        the server refused: `status`, `code`, `detail` of its problem (RFC 9457)
"""

from __future__ import annotations

from typing import Any

import httpx


class ClientError(Exception):
    """The message says what is wrong, and what to do."""


class Unreachable(ClientError):
    """Nothing answers at the server's address."""


class ApiError(ClientError):
    """The server refused. `retry_after`: seconds after which trying again makes sense; `document`: all it said."""

    def __init__(self, status: int, document: dict[str, Any], retry_after: float | None) -> None:
        self.status = status
        self.code = str(document.get("code", f"http_{status}"))
        self.detail = str(document.get("detail") or document.get("title") or f"The server answered {status}.")
        self.retry_after = retry_after
        self.document = document
        super().__init__(self.detail)


def raise_for(response: httpx.Response) -> None:
    """Raises ApiError unless the answer, which was read, is a success."""
    if response.is_success:
        return
    try:
        told = response.json()
    except ValueError:
        told = {}
    after = response.headers.get("retry-after", "")
    document = told if isinstance(told, dict) else {}
    raise ApiError(response.status_code, document, float(after) if after.isdigit() else None)
