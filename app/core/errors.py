"""What can go wrong, as a tree; each leaf knows its HTTP status and its stable code (RFC 9457).

Problem                      something that the one who asked can be told
├── BadRequest        400    the request itself is malformed
├── Unauthenticated   401    no credential, or one that does not hold
├── Forbidden         403    known, but not allowed
├── NotFound          404    not there, or not yours: the two look the same
├── Conflict          409    at odds with the state of things
├── TooLarge          413    more than a limit allows
├── UnsupportedMedia  415    a format that SmartVoice cannot read
├── OutOfRange        416    a part of something that has no such part
├── Misdirected       421    for a host that is not ours
├── Unprocessable     422    well-formed, but not usable
├── TooMany           429    a rate or a quota is spent
└── Unavailable       503    something that SmartVoice depends on is away: try again
JobError                     why a job failed, as its `error: {code, message}`
Refused                      the event log did not take a write (see `app.core.eventlog.log`)
"""

from __future__ import annotations

from typing import Any, ClassVar


class Problem(Exception):
    """An error that is told to the one who asked.

    Args:
        detail: one sentence that says what was wrong and what to do about it.
        code: stable and machine-readable; the class's own where none is given.
        retry_after: seconds after which trying again makes sense.
        extra: further members of the problem document.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    default_code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str, *, code: str | None = None, retry_after: int | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.default_code
        self.retry_after = retry_after
        self.extra = extra

    def document(self) -> dict[str, Any]:
        """The members of RFC 9457, with `code` and what else is known."""
        return {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        } | self.extra


class BadRequest(Problem):
    status, title, default_code = 400, "Bad request", "bad_request"


class Unauthenticated(Problem):
    status, title, default_code = 401, "Sign in first", "unauthenticated"


class Forbidden(Problem):
    status, title, default_code = 403, "Not allowed", "forbidden"


class NotFound(Problem):
    status, title, default_code = 404, "Not found", "not_found"


class Conflict(Problem):
    status, title, default_code = 409, "Conflict", "conflict"


class TooLarge(Problem):
    status, title, default_code = 413, "Too large", "too_large"


class UnsupportedMedia(Problem):
    status, title, default_code = 415, "Format not supported", "unsupported_media"


class OutOfRange(Problem):
    status, title, default_code = 416, "No such part", "out_of_range"


class Misdirected(Problem):
    status, title, default_code = 421, "Misdirected request", "unknown_host"


class Unprocessable(Problem):
    status, title, default_code = 422, "Not usable", "invalid"


class TooMany(Problem):
    status, title, default_code = 429, "Too many", "too_many"


class Unavailable(Problem):
    status, title, default_code = 503, "Not available now", "unavailable"


class JobError(Exception):
    """A job cannot be done; `code` is stable, `message` is for people.

    `retryable` says whether the same job may go better a little later, `retry_after` after how many seconds at the
    earliest, where whoever failed has said so.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after = retry_after


class Refused(Exception):
    """The event log refused a write: `reason` is `stale`, `final`, `gone`, `leased`, `full` or `lost`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
