"""Which voices a voice service has: those that the operator named, those that it tells of, else OpenAI's own."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx

from app.core.vocabulary import VOICE_ID
from workers.engines.service_errors import clean, refusal, timed_out, unreached
from workers.speech.engine import ANY_LANGUAGE, Voice

# Those that each of OpenAI's models has; every one of them speaks all languages.
OPENAI_VOICES = [
    Voice(name, name.title(), ANY_LANGUAGE)
    for name in ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
]

_SECONDS = 10.0
_MAX_SIZE = 1024 * 1024  # bytes
_MAX_ID = 100  # characters
_MAX_COUNT = 1000
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
# Kokoro's voices say in their first letter which language they are for, in their second whether they are female:
# `zf_xiaobei`. Given another language's text they read nonsense, so that one must know.
_KOKORO = re.compile(r"([abefhijpz])[fm]_\w+")
_KOKORO_LANGUAGES = {
    "a": "en-US",
    "b": "en-GB",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-BR",
    "z": "zh-CN",
}


def named_voices(named: str) -> list[Voice]:
    """The voices in a setting such as `alloy, zf_xiaobei=zh-CN`. One without a language speaks any."""
    pairs = [one.strip().partition("=") for one in named.split(",") if one.strip()]
    return [Voice(id, id, language or ANY_LANGUAGE) for id, _, language in pairs]


def told_voices(url: str, model: str, headers: dict[str, str], secret: str) -> list[Voice]:
    """The voices that the service at `url` tells of; OpenAI's where it has no such list.

    Blocks. Raises JobError (`tts_unreachable`, `tts_timeout`, `tts_busy`, `tts_failed`, all retryable).
    """
    try:
        with (
            httpx.Client(headers=headers, timeout=_SECONDS, trust_env=False) as client,
            client.stream("GET", f"{url}/audio/voices", params={"model": model}) as answer,
        ):
            body = _body(answer)
    except httpx.HTTPError as error:
        raise unreached(error, secret) from error
    if not answer.is_success and (trouble := refusal(answer, body, secret)).retryable:
        raise trouble
    return (_voices(body) if answer.is_success else []) or OPENAI_VOICES


def _body(answer: httpx.Response) -> bytes:
    """What comes within ten seconds; nothing where it is too much for a list of voices."""
    deadline = time.monotonic() + _SECONDS
    body = bytearray()
    for piece in answer.iter_raw():
        body += piece
        if len(body) > _MAX_SIZE:
            return b""
        if time.monotonic() > deadline:
            raise timed_out()
    return bytes(body)


def _voices(body: bytes) -> list[Voice]:
    """The voices of a list in one of the forms there are: `{voices: [id, …]}`, `{voices: [{id, name, …}, …]}`,
    under `data`, or the list alone. Those whose id no project can name are left out.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if isinstance(found, dict):
        found = found.get("voices") or found.get("data")
    rows = found if isinstance(found, list) else []
    voices = [_voice(row if isinstance(row, dict) else {"id": row}) for row in rows[:_MAX_COUNT]]
    return list({voice.id: voice for voice in voices if voice}.values())


def _voice(row: dict[str, Any]) -> Voice | None:
    id = row.get("id") or row.get("voice_id") or row.get("name")
    if not isinstance(id, str) or len(id) > _MAX_ID or not re.fullmatch(VOICE_ID, id):
        return None
    name, language = row.get("name"), row.get("language") or row.get("locale")
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        kokoro = _KOKORO.fullmatch(id)
        language = _KOKORO_LANGUAGES[kokoro[1]] if kokoro else ANY_LANGUAGE
    return Voice(id, (clean(name, "") if isinstance(name, str) else "") or id, language.replace("_", "-"))
