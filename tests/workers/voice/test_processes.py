"""Voice processes: a text that ends one fails alone, whatever else ends one is told apart, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import JobError
from app.core.settings import Settings
from tests.stack import alive
from tests.support import until
from workers.audio.pcm import Pcm
from workers.engines.espeak import Espeak
from workers.voice.process_pool import VoiceProcesses
from workers.voice.voice_process import VoiceProcess, VoiceProgram, adapted

SENTENCE = "The tide came in, and the tide went out."
FATAL = ["s'" * 70, "anti" * 450, "un" * 450, "Z." * 200]
RATE = 8000
# A voice that does as its text says. Sound is one sample a character.
SPEAKER = f"""
import ctypes, os, signal, socket, time

class Speaker:
    def __init__(self, options):
        self.options = options

    def facts(self):
        fingerprint = open(self.options["fingerprint"]).read() if "fingerprint" in self.options else "1"
        voice = {{"id": "a", "name": "A", "language": "mul"}}
        return {{"name": "test", "fingerprint": fingerprint, "maxCharacters": 1000, "voices": [voice], "defaults": {{}},
                "atOnce": self.options.get("atOnce", 1), "wantsWords": False}}

    def speak(self, text, voice, speed, on_sound):
        while "STALL" in text and os.path.exists(self.options["stall"]):
            time.sleep(0.01)
        if "ALWAYS" in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if "SEGV" in text:
            ctypes.string_at(0)
        if "EXIT" in text:
            os._exit(0)
        if "HANG" in text:
            time.sleep(600)
        if "SOCKET" in text:
            socket.socket()
        if "READ" in text:
            open(self.options["secret"]).read()
        if "FORK" in text:
            os.fork()
        if "NOISE" in text:
            print("not a reply")
            os.write(1, b"nor this")
        if "ENVIRONMENT" in text:
            raise RuntimeError(sorted(os.environ))
        on_sound(b"\\1\\0" * len(text))
        return {RATE}

def open_speaker(options):
    return Speaker(options)
"""


def program_of(
    speaker: Path, options: dict[str, Any], folder: Path, seconds: float = 60.0, idle: float = 60.0
) -> VoiceProgram:
    memory = 512 << 20
    return VoiceProgram(str(speaker), options, light=True, seconds=seconds, idle=idle, memory=memory, readable=[folder])


class Voice(VoiceProcesses):
    """The engine of that speaker."""

    def __init__(self, folder: Path, seconds: float = 60.0, idle: float = 60.0, at_once: int = 1) -> None:
        speaker = folder / "speaker.py"
        speaker.write_text(SPEAKER)
        self.folder = folder
        secret = folder.with_name(f"{folder.name}-secret")
        secret.write_text("a key")
        options = {"secret": str(secret), "stall": str(folder / "stall"), "atOnce": at_once}
        if (folder / "fingerprint").exists():
            options["fingerprint"] = str(folder / "fingerprint")
        super().__init__(program_of(speaker, options, folder, seconds, idle))

    async def say(self, text: str) -> Pcm:
        return await self.speak(text, "a")

    @property
    def busy(self) -> list[int]:
        """The processes that calls are made in."""
        return [one.pid for one in list(self._pool._all) if one.answered and one not in self._pool._idle]


@pytest.fixture
async def voice(tmp_path: Path) -> AsyncIterator[Voice]:
    voice = Voice(tmp_path)
    yield voice
    await voice.aclose()


async def refused(voice: Voice, text: str) -> JobError:
    with pytest.raises(JobError) as caught:
        await voice.say(text)
    return caught.value


@pytest.mark.parametrize("text", FATAL, ids=lambda text: text[:5])
@pytest.mark.parametrize("id", ["en-us", "cmn", "de"])
async def test_text_that_overflows_the_embedded_voice_is_spoken_in_pieces(text: str, id: str) -> None:
    espeak = Espeak()
    await espeak.speak(SENTENCE, id)
    pcm = await espeak.speak(f"{SENTENCE} {text}", id)
    assert pcm.seconds > 2
    assert (await espeak.speak(SENTENCE, id)).seconds > 1
    await espeak.aclose()


async def test_three_characters_that_no_size_of_piece_helps_are_named() -> None:
    espeak = Espeak()
    with pytest.raises(JobError) as caught:
        await espeak.speak("(,-V)", "vi")
    assert (caught.value.code, caught.value.retryable) == ("voice_crashed", False)
    assert "“(,-V)”" in caught.value.message
    assert (await espeak.speak(SENTENCE, "vi")).seconds > 1
    await espeak.aclose()


@pytest.mark.parametrize("fatal", ["SEGV", "EXIT"])
async def test_passage_that_crashes_in_pieces_too_is_named(voice: Voice, fatal: str) -> None:
    await voice.say(SENTENCE)
    error = await refused(voice, f"{SENTENCE} {SENTENCE} This is {fatal} and no other. {SENTENCE}")
    assert (error.code, error.retryable) == ("voice_crashed", False)
    assert fatal in error.message
    assert len(error.message) < 150
    assert len((await voice.say(SENTENCE)).samples) == 2 * len(SENTENCE)


async def test_voice_that_is_killed_from_outside_says_the_text_in_another_process(voice: Voice, tmp_path: Path) -> None:
    await voice.say("ok")
    (tmp_path / "stall").touch()
    call = asyncio.create_task(voice.say("STALL"))
    [pid] = await until(lambda: voice.busy)
    os.kill(pid, signal.SIGKILL)
    (tmp_path / "stall").unlink()
    assert len((await call).samples) == 2 * len("STALL")


async def test_voice_that_is_killed_again_and_again_may_be_tried_later(voice: Voice) -> None:
    error = await refused(voice, "ALWAYS")
    assert (error.code, error.retryable) == ("voice_lost", True)


async def test_call_that_takes_too_long_is_ended_and_its_passage_named(tmp_path: Path) -> None:
    voice = Voice(tmp_path, seconds=0.5)
    error = await refused(voice, "Now HANG in there.")
    assert (error.code, error.retryable) == ("voice_timeout", False)
    assert "HANG" in error.message
    assert not voice.busy
    await voice.aclose()


async def test_cancelled_call_ends_its_process_at_once_and_the_next_one_has_another(voice: Voice) -> None:
    await voice.say("ok")
    call = asyncio.create_task(voice.say("HANG"))
    [pid] = await until(lambda: voice.busy)
    call.cancel()
    with suppress(asyncio.CancelledError):
        await call
    assert len((await voice.say("ok")).samples) == 4
    await until(lambda: not alive(pid))


async def test_calls_at_once_are_in_as_many_processes(tmp_path: Path) -> None:
    voice = Voice(tmp_path, at_once=3)
    calls = [asyncio.create_task(voice.say("HANG")) for _ in range(5)]
    await until(lambda: len(voice.busy) == 3)
    before = set(voice.busy)
    calls[0].cancel()
    await until(lambda: len(voice.busy) == 3 and set(voice.busy) != before)
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await voice.aclose()


async def test_what_a_library_prints_is_no_reply(voice: Voice) -> None:
    assert len((await voice.say("NOISE")).samples) == 2 * len("NOISE")


async def test_voice_process_has_nothing_of_the_environment(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTVOICE_SECRET_KEY", "a secret of the tests, and of nobody else")
    error = await refused(voice, "ENVIRONMENT")
    assert error.code == "engine_failed"
    assert "LC_CTYPE" in error.message or "[]" in error.message
    assert "SMARTVOICE" not in error.message
    assert "PATH" not in error.message


@pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux'")
@pytest.mark.parametrize("wish", ["SOCKET", "READ", "FORK"])
async def test_voice_process_has_no_network_no_file_of_others_and_no_process(voice: Voice, wish: str) -> None:
    error = await refused(voice, wish)
    assert error.code == "engine_failed"
    assert "PermissionError" in error.message


async def test_process_that_nobody_asks_ends_and_the_next_call_has_another(tmp_path: Path) -> None:
    voice = Voice(tmp_path, idle=0.2)
    await voice.say("once")
    [process] = voice._pool._all
    await until(lambda: not alive(process.pid))
    assert len((await voice.say("again")).samples) == 10
    await voice.aclose()


async def test_light_voice_that_has_told_what_it_is_rests_until_it_is_asked() -> None:
    espeak = Espeak()
    assert espeak.voices()
    [process] = espeak._pool._all
    espeak.rest()
    assert not alive(process.pid)
    assert (await espeak.speak("Here.", espeak.voice_for("en", None))).samples
    await espeak.aclose()


async def test_voices_that_changed_meanwhile_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "fingerprint").write_text("1")
    voice = Voice(tmp_path)
    await voice.say("ok")
    (tmp_path / "fingerprint").write_text("2")
    [process] = voice._pool._all
    process.kill()
    error = await refused(voice, "ok")
    assert (error.code, error.retryable) == ("engine_failed", True)
    assert voice.fingerprint == "2"
    await voice.say("ok")
    await voice.aclose()


async def test_closed_engine_leaves_no_process(tmp_path: Path) -> None:
    voice = Voice(tmp_path, at_once=2)
    call = asyncio.create_task(voice.say("HANG"))
    await until(lambda: voice.busy)
    await voice.say("ok")
    processes = [process.pid for process in voice._pool._all]
    await voice.aclose()
    assert len(processes) == 2
    assert not any(map(alive, processes))
    with suppress(JobError):
        await call


@pytest.mark.parametrize("text", ["ok", "HANG"], ids=["at rest", "within a call"])
async def test_voice_process_ends_with_a_worker_that_is_killed(tmp_path: Path, text: str) -> None:
    script = f"""
import asyncio, pathlib
from tests.workers.voice.test_processes import Voice
async def main():
    voice = Voice(pathlib.Path({str(tmp_path)!r}), at_once=2)
    await voice.say("ok")
    call = asyncio.create_task(voice.say({text!r}))
    while not (voice.busy or call.done()):
        await asyncio.sleep(0.01)
    print(*(process.pid for process in voice._pool._all), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        pid = int(worker.stdout.readline())
        assert alive(pid)
        worker.send_signal(signal.SIGKILL)
    await until(lambda: not alive(pid))


def test_worker_never_loads_the_library() -> None:
    script = """
import asyncio
from workers.engines.espeak import Espeak
engine = Espeak()
engine.voices(), engine.fingerprint, engine.voice_for("en", None)
asyncio.run(engine.speak("I", "en-us"))
assert "espeak" not in open("/proc/self/maps").read()
[process] = engine._pool._all
maps = open(f"/proc/{process.pid}/maps").read()
assert "libespeak" in maps and "pydantic" not in maps and "numpy" not in maps
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("reply", [b"x\0\0\0\0", b"j\xff\xff\xff\xff", b"e\0\0\0\2{}", b"j\0\0\0\1{"])
async def test_nonsense_from_a_voice_process_ends_it(tmp_path: Path, reply: bytes) -> None:
    speaker = tmp_path / "nonsense.py"
    speaker.write_text(f"import os\ndef open_speaker(options):\n  os.write(4, {reply!r})\n  return 1/0")
    process = VoiceProcess(program_of(speaker, {}, tmp_path), tmp_path)
    with pytest.raises(Exception, match="ended") as caught:
        process.ask({"ask": "facts"})
    assert type(caught.value).__name__ == "VoiceDied"
    process.close()


def test_plugin_gets_the_variables_that_the_operator_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUM_MODEL", "/models/hum")
    monkeypatch.setenv("HUM_TOKEN", "secret")
    program = adapted(Settings(tts_variables="HUM_MODEL, HUM_OTHER"), "hum:make", {})
    assert program.environment == {"HUM_MODEL": "/models/hum"}
    assert "HUM_TOKEN" not in os.environ or "secret" not in str(program)
