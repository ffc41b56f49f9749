"""What the answers of a voice service mean: an error with a stable code, whether to ask again, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from app.core.errors import JobError

_MAX_MESSAGE = 300  # characters of what the service said
_A_DAY = 86_400.0
# What an answer with sound in it may call itself; many a service does not say more than "bytes".
_PLAIN_KINDS = {"", "application/octet-stream", "binary/octet-stream", "application/ogg"}
# 4xx that say nothing against the request: asked too slowly, too early, too often.
_PASSING = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS}
# A 429 that no waiting cures: the account is used up.
_USED_UP = "insufficient_quota"


def refusal(answer: httpx.Response, body: bytes, secret: str) -> JobError:
    """What an answer other than 2xx means; `body` is its beginning. `secret` is kept out of the message."""
    status = answer.status_code
    told = said(body, secret)
    told = f": {told}" if told else "."
    if answer.is_redirect:
        return JobError("tts_refused", f"The voice service redirects elsewhere ({status}); this is not followed.")
    if status == httpx.codes.UNAUTHORIZED:
        # Such answers quote a part of the key.
        return JobError("tts_refused", "The voice service does not accept the API key (401).")
    if status < httpx.codes.INTERNAL_SERVER_ERROR and (status not in _PASSING or _USED_UP.encode() in body):
        return JobError("tts_refused", f"The voice service refused ({status}){told}")
    busy = status == httpx.codes.TOO_MANY_REQUESTS
    code, verb = ("tts_busy", "is busy") if busy else ("tts_failed", "failed")
    return JobError(code, f"The voice service {verb} ({status}){told}", retryable=True, retry_after=retry_after(answer))


def unreached(error: httpx.HTTPError, secret: str) -> JobError:
    """What a call without a whole answer means."""
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return timed_out()
    why = clean(str(error), secret) or type(error).__name__
    return JobError("tts_unreachable", f"The voice service cannot be reached: {why}", retryable=True)


def timed_out() -> JobError:
    return JobError("tts_timeout", "The voice service took too long.", retryable=True)


def is_sound(kind: str) -> bool:
    """Whether an answer of that content type can be sound."""
    return kind.startswith("audio/") or kind in _PLAIN_KINDS


def content_type(answer: httpx.Response) -> str:
    """The media type of an answer, without parameters."""
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds after which the service wants to be asked again (RFC 9110, section 10.2.3); None if it does not say."""
    value = str(answer.headers.get("retry-after", "")).strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _A_DAY)
    if (then := _date(value)) is None:
        return None
    # By the service's own clock where it tells it: ours may be wrong.
    now = _date(answer.headers.get("date", "")) or datetime.now(UTC)
    return min(max((then - now).total_seconds(), 0.0), _A_DAY)


def said(body: bytes, secret: str) -> str:
    """What a service said in an error's body, in 300 characters at most; a page of HTML says nothing."""
    text = body.decode("utf-8", "replace").strip()
    try:
        text = _message(json.loads(text))
    except (ValueError, RecursionError):
        text = "" if text.startswith("<") else text
    return clean(text, secret)


def clean(text: str, secret: str) -> str:
    """`text` on one line, without `secret`, in 300 characters at most."""
    text = text.replace(secret, "…") if secret else text
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"


def _message(found: Any) -> str:
    """The sentence in an error document: `{error: {message}}` is OpenAI's form, `{detail: [{msg}]}` FastAPI's."""
    if isinstance(found, list):
        return _message(found[0]) if found else ""
    if isinstance(found, dict):
        return next((_message(found[key]) for key in ("message", "msg", "detail", "error") if found.get(key)), "")
    return str(found)


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
