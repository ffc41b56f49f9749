"""The embedded voice: eSpeak NG, loaded as a shared library.

eSpeak NG is under the GPL, version 3; it is loaded here and nowhere else, by worker processes only.

The library keeps its state in globals, so that it is set up once a process and makes one call at a time; and it
must not be set up before a process forks, so that this happens with the first call.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from functools import cache
from typing import Any

import espeakng_loader

from app.core.errors import JobError
from app.core.settings import Settings
from workers.speech.engine import Pcm, Voice, choose_voice

# Names and values of eSpeak NG's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1  # without the flag for SSML and that for phonemes: the text is plain
_POS_CHARACTER = 1
_RATE = 1  # the parameter's number
_USUAL_RATE = 175  # words a minute
_OK = 0

_DEFAULTS = {"zh-CN": "cmn", "en": "en-us"}
_FEMALE = "f2"  # the variant of a voice that becomes its `-female` twin
# Chinese languages that eSpeak names by themselves: who wants one of them for a Chinese text may have it.
_CHINESE = {"cmn": "zh-CN", "cmn-latn-pinyin": "zh-CN", "yue": "zh-HK", "hak": "zh-TW"}


class _VoiceStruct(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # one byte of priority, then a string, for each language
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _Library:
    """eSpeak NG in this process. Every method blocks, and waits for its turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard = bytearray()
        self._callback = _Callback(self._hear)
        self._lib: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        self._lib.espeak_Info.restype = ctypes.c_char_p
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceStruct))
        self._lib.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate = int(self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT))
        if self.sample_rate <= 0:
            raise JobError("engine_failed", "eSpeak NG could not be started.")
        self._lib.espeak_SetSynthCallback(self._callback)
        self.version = bytes(self._lib.espeak_Info(None)).decode()
        self.identifiers, self.voices = self._list_voices()

    def speak(self, text: str, voice: str, speed: float) -> Pcm:
        spoken = text.replace("\0", " ").encode("utf-8", errors="replace") + b"\0"
        with self._lock:
            self._heard.clear()
            if self._lib.espeak_SetVoiceByName(self.identifiers[voice].encode()) != _OK:
                raise JobError("engine_failed", f"eSpeak NG could not load the voice {voice}.")
            self._lib.espeak_SetParameter(_RATE, round(_USUAL_RATE * speed), 0)
            status = self._lib.espeak_Synth(spoken, len(spoken), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
            if status != _OK or self._lib.espeak_Synchronize() != _OK:
                raise JobError("engine_failed", "eSpeak NG could not speak a part of the text.", retryable=True)
            return Pcm(bytes(self._heard), self.sample_rate)

    def _hear(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            self._heard += ctypes.string_at(samples, count * 2)
        return 0

    def _list_voices(self) -> tuple[dict[str, str], list[Voice]]:
        """From each voice's id to the identifier that eSpeak knows it by; and the voices."""
        identifiers: dict[str, str] = {}
        voices: list[Voice] = []
        listed = self._lib.espeak_ListVoices(None)
        index = 0
        while listed[index]:
            row = listed[index].contents
            index += 1
            identifier = row.identifier.decode()
            id = identifier.rpartition("/")[2].lower()
            language = ctypes.string_at(row.languages + 1).decode()
            voice = Voice(id, row.name.decode().strip(), _CHINESE.get(language) or _bcp47(language))
            identifiers[id] = identifier
            voices.append(voice)
            if id in _DEFAULTS.values():
                identifiers[f"{id}-female"] = f"{identifier}+{_FEMALE}"
                voices.append(Voice(f"{id}-female", f"{voice.name}, female", voice.language))
        return identifiers, voices


class Espeak:
    """The engine `espeak`: works offline on every machine, in over 100 languages."""

    name = "espeak"
    at_once = 1
    wants_words = True
    max_characters = 1800

    @property
    def fingerprint(self) -> str:
        return f"espeak-ng {_library().version}"

    def voices(self) -> list[Voice]:
        """Every voice of eSpeak NG. Raises JobError (`engine_failed`)."""
        return list(_library().voices)

    def voice_for(self, language: str, wanted: str | None) -> str:
        """The id of the voice for `language`: see `Engine.voice_for`. Raises JobError (`unknown_voice`)."""
        return choose_voice(_library().voices, _DEFAULTS, language, wanted)

    async def speak(self, text: str, voice: str, speed: float = 1.0) -> Pcm:
        """The sound of `text` in the voice of that id. Raises JobError (`unknown_voice`, `engine_failed`)."""
        library = await asyncio.to_thread(_library)
        if voice not in library.identifiers:
            raise JobError("unknown_voice", f"There is no voice called {voice!r}.")
        return await asyncio.to_thread(library.speak, text, voice, speed)

    async def aclose(self) -> None:
        """Does nothing: the library stays with the process."""


def make(settings: Settings) -> Espeak:
    """The engine; it has no settings."""
    return Espeak()


_setting_up = threading.Lock()


def _library() -> _Library:
    with _setting_up:  # `cache` alone would let two threads set it up at once
        return _load()


@cache
def _load() -> _Library:
    return _Library()


def _bcp47(language: str) -> str:
    """`en-us` as `en-US`, `en-gb-x-rp` as `en-GB-x-rp`, `fa-latn` as `fa-Latn`."""
    first, *rest = language.strip().lower().split("-")
    parts = [first]
    private = False
    for part in rest:
        private = private or len(part) == 1
        if not private and len(part) == 2:
            part = part.upper()
        elif not private and len(part) == 4:
            part = part.title()
        parts.append(part)
    return "-".join(parts)
