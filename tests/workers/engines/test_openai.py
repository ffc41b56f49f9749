"""The engine for voice services, against one that misbehaves in every way there is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from app.core.errors import JobError
from tests.stack import free_port
from tests.support import until
from tests.tts_server import TtsServer
from tests.tts_sound import SAMPLE_RATE, samples_of, seconds_of
from tests.tts_ways import WAYS, Way, busy, drip, failing, farewell, good, hang, hang_up, huge, reset
from tests.workers.conftest import Remembered, Reports
from tests.workers.pipeline.test_narration import SCRIPT, Shelf
from workers.engines.openai import OpenAi, Service
from workers.pipeline.narration import narrate
from workers.speech.duration_check import check_duration
from workers.speech.engine import Engine

TEXT = "It was the best of times. 我们走吧！"
KEY = "sk-0123456789abcdef"
TRIES = 4

# What each way of answering is called in the end, and by how many calls.
REFUSED = {"redirect"}
TROUBLES = {
    "busy": "tts_busy",
    "500": "tts_failed",
    "503": "tts_failed",
    "reset": "tts_unreachable",
    "cut": "tts_unreachable",
    "hang-up": "tts_unreachable",
    "html": "tts_bad_audio",
    "empty": "tts_bad_audio",
    "noise": "tts_bad_audio",
    "truncated": "tts_bad_audio",
    "truncated-mp3": "tts_bad_audio",
    "huge": "tts_bad_audio",
}


@pytest.fixture
async def server() -> AsyncIterator[TtsServer]:
    async with TtsServer() as server:
        yield server


@pytest.fixture
def service(server: TtsServer) -> Service:
    """The server, used with hardly a pause."""
    return Service(
        url=f"{server.url}/v1",
        api_key=KEY,
        tries=TRIES,
        first_pause=0.001,
        longest_pause=0.002,
        timeout=30,
        largest=4 * 1024 * 1024,
    )


@pytest.fixture
async def engine(service: Service) -> AsyncIterator[OpenAi]:
    engine = OpenAi(service)
    yield engine
    await engine.aclose()


async def failure(service: Service, text: str = TEXT) -> JobError:
    """What `speak` raises."""
    engine = OpenAi(service)
    try:
        with pytest.raises(JobError) as caught:
            await engine.speak(text, "alloy")
    finally:
        await engine.aclose()
    return caught.value


async def test_text_comes_back_as_its_sound(engine: Engine, server: TtsServer) -> None:
    pcm = await engine.speak(TEXT, "alloy")
    assert (pcm.samples, pcm.sample_rate) == (samples_of(TEXT), SAMPLE_RATE)
    check_duration(TEXT, pcm)
    call = server.heard[0]
    assert call.path == "/v1/audio/speech"
    assert call.headers["authorization"] == f"Bearer {KEY}"
    assert call.body == {"model": "tts-1", "input": TEXT, "voice": "alloy", "response_format": "wav"}


async def test_settings_of_the_service_are_sent(service: Service, server: TtsServer) -> None:
    engine = OpenAi(replace(service, api_key="", model="kokoro", speed=1.25, format="flac", max_characters=700))
    assert (await engine.speak(TEXT, "af_heart")).samples == samples_of(TEXT)
    await engine.aclose()
    call = server.heard[0]
    assert (call.body["model"], call.body["speed"], call.body["response_format"]) == ("kokoro", 1.25, "flac")
    assert "authorization" not in call.headers
    assert (engine.fingerprint, engine.max_characters, engine.at_once) == ("kokoro flac 1.25", 700, 4)


async def test_text_that_no_encoding_can_carry_is_spoken_all_the_same(engine: Engine, server: TtsServer) -> None:
    await engine.speak("half \ud83d of it", "alloy")
    assert server.heard[0].text == "half ? of it"


@pytest.mark.parametrize("name", TROUBLES)
async def test_trouble_that_lasts_ends_after_a_few_calls(service: Service, server: TtsServer, name: str) -> None:
    server.misbehave_always(WAYS[name])
    error = await failure(service)
    assert (error.code, error.retryable) == (TROUBLES[name], True)
    assert server.calls == {TEXT: TRIES}


@pytest.mark.parametrize("name", TROUBLES)
async def test_trouble_that_passes_ends_in_sound(engine: Engine, server: TtsServer, name: str) -> None:
    server.misbehave(*[name] * (TRIES - 1))
    assert (await engine.speak(TEXT, "alloy")).samples == samples_of(TEXT)
    assert server.calls == {TEXT: TRIES}


async def test_service_that_hangs_is_given_up_and_asked_again(service: Service, server: TtsServer) -> None:
    server.misbehave(hang, hang, good)
    engine = OpenAi(replace(service, timeout=1))
    assert (await engine.speak(TEXT, "alloy")).seconds == pytest.approx(seconds_of(TEXT), abs=0.01)
    assert server.calls == {TEXT: 3}
    await engine.aclose()


@pytest.mark.parametrize("way", [hang, drip])
async def test_neither_silence_nor_a_drip_goes_on_for_ever(service: Service, server: TtsServer, way: Way) -> None:
    server.misbehave_always(way)
    error = await failure(replace(service, timeout=1.5, tries=2))
    assert (error.code, error.retryable) == ("tts_timeout", True)
    assert server.calls == {TEXT: 2}
    await until(lambda: server.open_connections == 0)


async def test_service_that_is_not_there_is_unreachable(service: Service) -> None:
    error = await failure(replace(service, url=f"http://127.0.0.1:{free_port()}/v1"))
    assert (error.code, error.retryable) == ("tts_unreachable", True)


@pytest.mark.parametrize("as_date", [False, True])
async def test_pause_that_the_service_asks_for_is_kept(engine: Engine, server: TtsServer, as_date: bool) -> None:
    server.misbehave(busy(1, as_date=as_date))
    began = time.monotonic()
    await engine.speak(TEXT, "alloy")
    assert time.monotonic() - began >= 1
    assert server.calls == {TEXT: 2}


@pytest.mark.parametrize(
    ("way", "code"),
    [
        (busy(120), "tts_busy"),
        (busy(120, as_date=True), "tts_busy"),
        (failing(503, Retry_After="120"), "tts_failed"),
    ],
)
async def test_longer_pause_than_anybody_waits_is_handed_on(
    service: Service, server: TtsServer, way: Way, code: str
) -> None:
    server.misbehave_always(way)
    error = await failure(service)
    assert (error.code, error.retryable, error.retry_after) == (code, True, 120)
    assert server.calls == {TEXT: 1}


@pytest.mark.parametrize("asked", ["soon", "-5", "", "1e9", "Thu, 99 Nov 2026 00:00:00 GMT"])
async def test_pause_that_makes_no_sense_is_not_waited_for(engine: Engine, server: TtsServer, asked: str) -> None:
    server.misbehave(failing(429, Retry_After=asked))
    assert (await engine.speak(TEXT, "alloy")).samples


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_refusal_is_final(service: Service, server: TtsServer, status: int) -> None:
    server.misbehave_always(failing(status, "No such model."))
    error = await failure(service)
    assert (error.code, error.retryable) == ("tts_refused", False)
    assert server.calls == {TEXT: 1}


async def test_redirect_is_not_followed(service: Service, server: TtsServer) -> None:
    server.misbehave("redirect")
    assert (await failure(service)).code == "tts_refused"
    assert server.requests == 1


async def test_account_that_is_used_up_is_no_matter_of_waiting(service: Service, server: TtsServer) -> None:
    server.misbehave_always(failing(429, "You exceeded your current quota (insufficient_quota)."))
    error = await failure(service)
    assert (error.code, error.retryable) == ("tts_refused", False)
    assert server.calls == {TEXT: 1}


async def test_refusal_says_what_the_service_said(service: Service, server: TtsServer) -> None:
    server.misbehave(failing(404, "The model `tts-9`\n does not\x1b[1m exist."))
    assert (await failure(service)).message == (
        "The voice service refused (404): The model `tts-9` does not [1m exist."
    )
    server.misbehave(failing(400, "x" * 5000))
    message = (await failure(service)).message
    assert message.startswith("The voice service refused (400): xxx")
    assert message.count("x") == 299
    server.misbehave(failing(403, f"Bearer {KEY} may not do that"))
    assert (await failure(service)).message == "The voice service refused (403): Bearer … may not do that"


async def test_key_is_in_no_message_and_in_no_log(service: Service) -> None:
    async with TtsServer(api_key="another") as strict:
        with capture_logs() as logs:
            error = await failure(replace(service, url=f"{strict.url}/v1"))
            strict.misbehave_always(failing(500, f"crashed at {KEY}"))
            crash = await failure(replace(service, url=f"{strict.url}/v1", api_key="another"))
    assert error.message == "The voice service does not accept the API key (401)."
    assert crash.code == "tts_failed"
    told = f"{logs} {error.message} {service!r} {OpenAi(service)!r}"
    assert KEY not in told
    assert TEXT not in told
    assert len(logs) == TRIES - 1


async def test_calls_share_a_connection(engine: Engine, server: TtsServer) -> None:
    for number in range(5):
        await engine.speak(f"Text {number}.", "alloy")
    assert server.connections == 1


async def test_connection_that_the_service_closed_is_not_used_again(engine: Engine, server: TtsServer) -> None:
    server.misbehave(farewell, good, hang_up, good, reset, good)
    await engine.speak("one", "alloy")
    await until(lambda: server.open_connections == 0)
    await engine.speak("two", "alloy")
    await engine.speak("three", "alloy")
    await engine.speak("four", "alloy")
    assert server.calls == {"one": 1, "two": 1, "three": 2, "four": 2}


async def test_calls_at_once_are_limited(service: Service, server: TtsServer) -> None:
    engine = OpenAi(replace(service, at_once=3))
    server.hold()
    texts = [f"Text {number}." for number in range(9)]
    calls = [asyncio.create_task(engine.speak(text, "alloy")) for text in texts]
    await until(lambda: server.held == 3)
    server.release()
    spoken = await asyncio.gather(*calls)
    assert [pcm.samples for pcm in spoken] == [samples_of(text) for text in texts]
    assert server.most_at_once == 3
    await engine.aclose()


async def test_cancelling_closes_the_connection_at_once(engine: Engine, server: TtsServer) -> None:
    server.hold()
    call = asyncio.create_task(engine.speak(TEXT, "alloy"))
    await until(lambda: server.held == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: server.held == 0)
    await until(lambda: server.open_connections == 0)
    assert server.requests == 1


async def test_cancelling_many_times_loses_no_place(engine: Engine, server: TtsServer) -> None:
    for _ in range(10):
        server.hold()
        calls = [asyncio.create_task(engine.speak(f"Text {number}.", "alloy")) for number in range(6)]
        await until(lambda: server.held == engine.at_once)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: server.held == 0)
        server.release()
        await asyncio.gather(*[engine.speak(f"More {number}.", "alloy") for number in range(6)])


async def test_cancelling_ends_a_pause(service: Service, server: TtsServer) -> None:
    server.misbehave(busy(20))
    engine = OpenAi(service)
    call = asyncio.create_task(engine.speak(TEXT, "alloy"))
    await until(lambda: server.requests == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await engine.aclose()


async def test_answer_without_end_is_cut_off(service: Service, server: TtsServer) -> None:
    server.misbehave(huge)
    error = await failure(replace(service, largest=100_000, tries=1))
    assert (error.code, error.message) == ("tts_bad_audio", "The voice service sent far too much.")
    await until(lambda: server.open_connections == 0)


async def test_page_instead_of_sound_is_quoted(service: Service, server: TtsServer) -> None:
    server.misbehave("html")
    error = await failure(replace(service, tries=1))
    assert error.message == "The voice service sent text/html instead of sound."
    server.misbehave(failing(200, "The model is still loading"))
    error = await failure(replace(service, tries=1))
    assert error.message == "The voice service sent application/json instead of sound: The model is still loading."


async def test_chapter_is_narrated_through_a_service_in_trouble(
    engine: OpenAi, server: TtsServer, reports: Reports
) -> None:
    server.misbehave(busy(), reset, good, "truncated", "500", "html", good)
    shelf = Shelf()
    seconds = await narrate(SCRIPT, engine, Remembered(), shelf, reports)
    assert shelf.seconds == pytest.approx(seconds, abs=0.1)
    assert reports.stages == ["start", "synthesis", "upload"]
    assert len(server.calls) == 4
    assert server.requests == 4 + 5


async def test_segments_are_no_longer_than_the_service_takes(service: Service, server: TtsServer) -> None:
    engine = OpenAi(replace(service, max_characters=100))
    reports = Reports()
    text = "".join(chr(ord("他") + number) for number in range(450))
    await narrate(replace(SCRIPT, text=text, title=""), engine, Remembered(), Shelf(), reports)
    await engine.aclose()
    assert max(map(len, server.calls)) == 100
    assert "".join(call.text for call in server.heard) == text
