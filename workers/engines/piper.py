"""Neural voices on the machine itself: Piper, which comes with the extra `piper`.

A voice is two files of the folder `tts_piper_dir`: `NAME.onnx`, the network, and `NAME.onnx.json`, what it takes; a
network with several speakers is a voice for each. The form is Piper's own (github.com/OHF-Voice/piper1-gpl).

Piper is under the GPL, version 3; it is loaded here and nowhere else, by voice processes only, with the first call.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import structlog
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from app.core.errors import JobError
from app.core.settings import Settings
from app.core.vocabulary import VOICE_ID
from workers.audio.pcm import Pcm
from workers.speech.engine import Voice, choose_voice
from workers.voice.process_pool import VoiceProcesses
from workers.voice.voice_process import adapted

if TYPE_CHECKING:
    from piper import PiperVoice

try:
    _VERSION = importlib.metadata.version("piper-tts")
except importlib.metadata.PackageNotFoundError as error:
    raise ImportError("it needs the extra `piper`: pip install 'smartvoice[piper]'") from error

logger = structlog.get_logger()

_SAMPLE_RATE = 22_050  # that of most voices; sound of others is brought to it, for a file has one rate
_NOTHING_SAID = 0.05  # seconds of silence for a text without anything to pronounce
_LOADED_AT_ONCE = 4  # a network takes some 100 MB
_ID = re.compile(rf"{VOICE_ID}")
# What Piper makes phonemes from by itself; its other ways want models that it would download.
_PHONEMES = {"espeak", "text"}


class _Speaker(NamedTuple):
    """Who speaks: a network, and which of its speakers if it has several."""

    voice: Voice
    network: Path
    number: int | None


@dataclass(frozen=True)
class _Folder:
    """The voices of a folder, and what they are made of."""

    speakers: dict[str, _Speaker]
    digest: str


class Piper:
    """The engine `piper`, for the voices in `folder`; `threads` of the machine's cores are at a call's disposal."""

    name = "piper"
    at_once = 1
    wants_words = True
    max_characters = 1000

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder = folder
        self._found = _Folder({}, "")
        self._turn = threading.Lock()
        self._load = lru_cache(_LOADED_AT_ONCE)(lambda network: _loaded(network, threads))

    @property
    def fingerprint(self) -> str:
        # Of all voices: one that is replaced must not be mixed with what it said before.
        return f"piper {_VERSION} {self._look().digest}"

    def voices(self) -> list[Voice]:
        """Every voice of the folder. Raises JobError (`engine_failed`, retryable) where it has none."""
        return [speaker.voice for speaker in self._speakers().values()]

    def voice_for(self, language: str, wanted: str | None) -> str:
        """The id of the voice for `language`: see `Engine.voice_for`. Raises JobError (`unknown_voice`)."""
        return choose_voice(self.voices(), {}, language, wanted)

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        """The sound of `text` in the voice of that id. Raises JobError (`unknown_voice`, `engine_failed`)."""
        if not (speaker := self._speakers().get(voice)):
            raise JobError("unknown_voice", f"There is no voice called {voice!r}.")
        given_up = threading.Event()
        try:
            return await asyncio.to_thread(self._spoken, _plain(text), speaker, speed, given_up)
        finally:
            given_up.set()  # the thread of a call that was cancelled ends with its sentence

    async def aclose(self) -> None:
        """Lets go of the networks."""
        self._load.cache_clear()

    def _speakers(self) -> dict[str, _Speaker]:
        if found := self._look().speakers:
            return found
        raise JobError("engine_failed", f"There is no voice of Piper's in {self._folder}.", retryable=True)

    def _look(self) -> _Folder:
        """What is in the folder, as it was when a voice was first found in it."""
        if not self._found.speakers:
            self._found = _look(self._folder)
        return self._found

    def _spoken(self, text: str, speaker: _Speaker, speed: float, given_up: threading.Event) -> Pcm:
        with self._turn:
            if given_up.is_set():
                return Pcm(b"", _SAMPLE_RATE)
            try:
                network = self._load(speaker.network)
                return _sound(network, text, speaker.number, speed, given_up)
            except JobError:
                raise
            except Exception as error:  # of ONNX Runtime, whose kinds of errors are its own
                logger.warning("piper_failed", voice=speaker.voice.id, error=str(error)[:500])
                raise JobError(
                    "engine_failed", f"Piper could not speak with the voice {speaker.voice.id}.", retryable=True
                ) from error


def _plain(text: str) -> str:
    """`text` without what Piper takes for markup (`[[phonemes]]`), and without what its C library cannot be given."""
    sayable = text.replace("\0", " ").encode("utf-8", errors="replace").decode()
    return sayable.replace("[[", "[ [")


def _sound(network: PiperVoice, text: str, number: int | None, speed: float, given_up: threading.Event) -> Pcm:
    from piper import SynthesisConfig

    asked = SynthesisConfig(speaker_id=number, length_scale=network.config.length_scale / speed)
    sound = bytearray()
    for sentence in network.synthesize(text, asked):
        if given_up.is_set():
            break
        sound += sentence.audio_int16_bytes
    rate = network.config.sample_rate
    if not sound:
        sound = bytearray(2 * round(_NOTHING_SAID * rate))
    return Pcm(bytes(sound) if rate == _SAMPLE_RATE else _resampled(sound, rate), _SAMPLE_RATE)


def _resampled(sound: bytearray, rate: int) -> bytes:
    frame = AudioFrame.from_ndarray(np.frombuffer(sound, "<i2").reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate
    resampler = AudioResampler("s16", "mono", _SAMPLE_RATE)
    pieces = [*resampler.resample(frame), *resampler.resample(None)]
    return b"".join(piece.to_ndarray().tobytes() for piece in pieces)


def _loaded(network: Path, threads: int) -> PiperVoice:
    """A network and its settings, ready to speak. Raises whatever Piper and ONNX Runtime do."""
    # Its wheels otherwise tell their maker of each use, where there is a network. It looks as it is loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime
    from piper import PiperConfig, PiperVoice

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(str(network), options, providers=["CPUExecutionProvider"])
    return PiperVoice(session, PiperConfig.from_dict(_config(network)))


def _look(folder: Path) -> _Folder:
    speakers: dict[str, _Speaker] = {}
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.onnx.json")):
        network = path.with_suffix("")
        try:
            content, size = path.read_bytes(), network.stat().st_size
            for speaker in _speakers_of(network, json.loads(content)):
                speakers[speaker.voice.id] = speaker
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            logger.warning("piper_voice_unusable", voice=str(path), error=str(error))
            continue
        digest.update(f"{network.name} {size} {hashlib.sha256(content).hexdigest()}\n".encode())
    return _Folder(speakers, digest.hexdigest()[:16])


def _speakers_of(network: Path, config: dict[str, Any]) -> Iterator[_Speaker]:
    """Those of one network. Raises ValueError, LookupError, TypeError, AttributeError where it cannot be used."""
    if (kind := config.get("phoneme_type", "espeak")) not in _PHONEMES:
        raise ValueError(f"its phonemes are made by {kind}, which is not part of Piper itself")
    language = _bcp47(config.get("language", {}).get("code") or config["espeak"]["voice"])
    name = network.name.removesuffix(".onnx")
    if not _ID.fullmatch(name):
        raise ValueError("its name has characters that no voice's id may have")
    title = _title(name)
    if int(config["num_speakers"]) <= 1:
        yield _Speaker(Voice(name, title, language), network, None)
        return
    for speaker, number in sorted(config["speaker_id_map"].items(), key=lambda item: int(item[1])):
        id = f"{name}.{speaker}" if _ID.fullmatch(speaker) else f"{name}.{number}"
        yield _Speaker(Voice(id, f"{title}, {speaker}", language), network, int(number))


def _config(network: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(f"{network}.json").read_text(encoding="utf-8"))
    return found


def _title(name: str) -> str:
    """`en_US-lessac-medium` as `Lessac (medium)`; another name as it is."""
    with suppress(ValueError):
        _, dataset, quality = name.split("-")
        return f"{dataset.replace('_', ' ').title()} ({quality})"
    return name


def _bcp47(code: str) -> str:
    """`en_US` as `en-US`."""
    first, *rest = re.split("[-_]", code)
    return "-".join([first.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])


def in_this_process(settings: Settings) -> Piper:
    """The engine; the cores are shared by the worker processes of the machine."""
    threads = max(1, (os.cpu_count() or 1) // settings.worker_processes)
    return Piper(settings.piper_dir, threads)


def make(settings: Settings) -> VoiceProcesses:
    """The engine, in a voice process for each worker process: a network is large."""
    folder = settings.piper_dir.absolute()
    given = {"tts_piper_dir": str(folder), "worker_processes": settings.worker_processes}
    return VoiceProcesses(
        adapted(settings, f"{__name__}:{in_this_process.__name__}", given, readable=[folder], defaults={})
    )
