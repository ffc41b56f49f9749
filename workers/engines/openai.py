"""A voice by HTTP: any service with OpenAI's `POST /v1/audio/speech`, such as Kokoro-FastAPI or LocalAI.

A call ends in sound or in a JobError, within a bounded time and bounded memory, whatever the service does:

- sound: whole, clean, one channel. What calls itself sound and is not is `tts_bad_audio`.
- passing trouble (429, 5xx, no connection, too slow, bad audio): asked again, with pauses that grow and are drawn at
  random, or that the service asked for; then `tts_busy`, `tts_failed`, `tts_unreachable`, `tts_timeout`.
- a longer pause asked for than anybody should wait in a call: the error at once, with `retry_after`.
- refusal (other 4xx, a redirect): `tts_refused` at once; asking again would change nothing.
- cancellation: the connection is closed, and the service may stop its work.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import structlog

from app.core.errors import JobError
from app.core.settings import Settings
from workers.audio.pcm import Pcm
from workers.engines.audio_decoder import bad_audio, decode
from workers.engines.service_errors import clean, content_type, is_sound, refusal, said, timed_out, unreached
from workers.engines.service_voices import named_voices, told_voices
from workers.speech.engine import Voice, choose_voice

logger = structlog.get_logger()

_CONNECT_SECONDS = 10.0
_SLOWEST, _FASTEST = 0.25, 4.0  # that the interface knows
_MAX_REFUSAL = 8 * 1024  # bytes of an error's body that are looked at


@dataclass(frozen=True, kw_only=True)
class Service:
    """A voice service and how it is used. Times in seconds, sizes in bytes."""

    url: str  # up to and with `/v1`
    api_key: str = field(default="", repr=False)
    model: str = "tts-1"
    voices: str = ""  # `id` or `id=language`, separated by commas; empty: the service is asked
    speed: float = 1.0
    wants_words: bool = False  # whether numbers and the like are written out for it
    format: str = "wav"
    max_characters: int = 1800
    at_once: int = 4
    timeout: float = 60.0  # for a call from end to end
    tries: int = 4
    first_pause: float = 0.5  # the longest pause after the first try; it doubles with each
    longest_pause: float = 8.0
    patience: float = 30.0  # the longest pause that the service may ask for
    largest: int = 64 * 1024 * 1024  # the most that is taken as one answer, and decoded from it

    @property
    def headers(self) -> dict[str, str]:
        # Sound does not shrink, and a small answer that inflates to a huge one is not wanted.
        credential = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        return {"Accept-Encoding": "identity", **credential}


class OpenAi:
    """The engine `openai`."""

    name = "openai"

    def __init__(self, service: Service) -> None:
        self.service = service
        self._voices = named_voices(service.voices)
        self._places = asyncio.Semaphore(service.at_once)
        # The semaphore alone limits the connections: httpcore's pool loses places where a call that waits is cancelled.
        self._http = httpx.AsyncClient(
            headers=service.headers,
            timeout=httpx.Timeout(service.timeout, connect=min(_CONNECT_SECONDS, service.timeout), pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=service.at_once),
            trust_env=False,
        )

    @property
    def fingerprint(self) -> str:
        return f"{self.service.model} {self.service.format} {self.service.speed:g}"

    @property
    def max_characters(self) -> int:
        return self.service.max_characters

    @property
    def wants_words(self) -> bool:
        return self.service.wants_words

    @property
    def at_once(self) -> int:
        return self.service.at_once

    def voices(self) -> list[Voice]:
        """The service's voices, asked for until it has told them once. Raises JobError (`tts_…`, retryable)."""
        if not self._voices:
            service = self.service
            self._voices = told_voices(service.url, service.model, service.headers, service.api_key)
        return list(self._voices)

    def voice_for(self, language: str, wanted: str | None) -> str:
        """The id of the voice for `language`: see `Engine.voice_for`. Raises JobError (`unknown_voice`, `tts_…`)."""
        return choose_voice(self.voices(), {}, language, wanted)

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        """The sound of `text` in the voice of that id. Raises JobError (`tts_…`)."""
        # A call keeps its place while it pauses: who is busy already is not asked by others instead.
        async with self._places:
            tried = 0
            while True:
                tried += 1
                try:
                    return await self._try(text, voice, speed)
                except JobError as trouble:
                    if not self._worth_another(trouble, tried):
                        raise
                    pause = self._pause(trouble, tried)
                    logger.warning("voice_service_in_trouble", code=trouble.code, tried=tried, pause=round(pause, 2))
                await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    def _worth_another(self, trouble: JobError, tried: int) -> bool:
        patient = (trouble.retry_after or 0) <= self.service.patience
        return trouble.retryable and patient and tried < self.service.tries

    def _pause(self, trouble: JobError, tried: int) -> float:
        """Seconds: a random share of what grows with each try, on top of what the service asked for, if it did."""
        longest = min(self.service.first_pause * 2 ** (tried - 1), self.service.longest_pause)
        return (trouble.retry_after or 0) + random.uniform(0, longest)

    async def _try(self, text: str, voice: str, speed: float) -> Pcm:
        try:
            # httpx' own timeouts begin anew with each byte.
            async with asyncio.timeout(self.service.timeout):
                data = await self._ask(text, voice, speed)
        except TimeoutError as error:
            raise timed_out() from error
        except httpx.HTTPError as error:
            raise unreached(error, self.service.api_key) from error
        return await asyncio.to_thread(decode, data, self.service.largest)

    async def _ask(self, text: str, voice: str, speed: float) -> bytes:
        """The body of the service's answer, if it can be sound."""
        secret = self.service.api_key
        url = f"{self.service.url}/audio/speech"
        async with self._http.stream("POST", url, json=self._request(text, voice, speed)) as answer:
            if not answer.is_success:
                raise refusal(answer, await _beginning(answer, _MAX_REFUSAL), secret)
            if not is_sound(kind := content_type(answer)):
                told = said(await _beginning(answer, _MAX_REFUSAL), secret)
                raise bad_audio(f"{clean(kind, secret)} instead of sound" + (f": {told}" if told else ""))
            data = await _beginning(answer, self.service.largest + 1)
        if len(data) > self.service.largest:
            raise bad_audio("far too much")
        return data

    def _request(self, text: str, voice: str, speed: float) -> dict[str, Any]:
        service = self.service
        asked: dict[str, Any] = {
            "model": service.model,
            "input": text.encode("utf-8", "replace").decode(),  # half of a surrogate pair cannot be sent
            "voice": voice,
            "response_format": service.format,
        }
        # Not every service knows this one.
        wanted = min(max(service.speed * speed, _SLOWEST), _FASTEST)
        return asked if wanted == 1 else {**asked, "speed": wanted}


async def _beginning(answer: httpx.Response, most: int) -> bytes:
    """The first `most` bytes of the answer's body, or all of it; what comes after them is not waited for."""
    body = bytearray()
    # A generator that is left in the middle is closed here, not whenever the loop comes to it.
    async with aclosing(cast("AsyncGenerator[bytes]", answer.aiter_raw())) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) >= most:
                break
    del body[most:]
    return bytes(body)


def make(settings: Settings) -> OpenAi:
    """The engine for the service that the settings name."""
    return OpenAi(
        Service(
            url=settings.tts_base_url,
            api_key=settings.tts_api_key.get_secret_value(),
            model=settings.tts_model,
            voices=settings.tts_voices,
            speed=settings.tts_speed,
            wants_words=settings.tts_write_out,
            format=settings.tts_format,
            max_characters=settings.tts_max_characters,
            at_once=settings.tts_concurrency,
            timeout=settings.tts_timeout_seconds,
            tries=settings.tts_tries,
        )
    )
