"""The speaker of eSpeak NG, loaded as a shared library: needs the standard library alone, and runs in a voice process.

eSpeak NG is under the GPL, version 3; it is loaded here and nowhere else.

On plain text it overflows its buffers: it is never to be loaded into a process with anything else in it.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

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
_MAX_CHARACTERS = 1800
_BROKEN = 70  # exit status


class Failed(Exception):
    """What the worker is told as a JobError."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


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


def open_speaker(options: dict[str, Any]) -> EspeakSpeaker:
    """eSpeak NG from `library`, with the voices in `data`, for `atOnce` processes. Raises Failed (`engine_failed`)."""
    return EspeakSpeaker(options["library"], options["data"], options["atOnce"])


class EspeakSpeaker:
    """eSpeak NG in this process; its state is global, so that there is one of it."""

    def __init__(self, library: str, data: str, at_once: int) -> None:
        self._at_once = at_once
        self._on_sound: Callable[[bytes], None] = _ignore
        self._callback = _Callback(self._hear)
        self._lib: Any = ctypes.CDLL(library)
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
        self._sample_rate = int(
            self._lib.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data.encode(), _INITIALIZE_DONT_EXIT)
        )
        if self._sample_rate <= 0:
            raise Failed("engine_failed", "eSpeak NG could not be started.")
        self._lib.espeak_SetSynthCallback(self._callback)
        self._identifiers, self._voices = self._list_voices()

    def facts(self) -> dict[str, Any]:
        return {
            "name": "espeak",
            "fingerprint": f"espeak-ng {bytes(self._lib.espeak_Info(None)).decode()}",
            "maxCharacters": _MAX_CHARACTERS,
            "atOnce": self._at_once,
            "wantsWords": True,
            "voices": self._voices,
            "defaults": _DEFAULTS,
        }

    def voice_for(self, language: str, wanted: str | None) -> str:
        raise NotImplementedError("the worker chooses by `defaults`")

    def speak(self, text: str, voice: str, speed: float, on_sound: Callable[[bytes], None]) -> int:
        if (identifier := self._identifiers.get(voice)) is None:
            raise Failed("unknown_voice", f"There is no voice called {voice!r}.")
        spoken = text.replace("\0", " ").encode("utf-8", errors="replace") + b"\0"
        self._on_sound = on_sound
        if self._lib.espeak_SetVoiceByName(identifier.encode()) != _OK:
            raise Failed("engine_failed", f"eSpeak NG could not load the voice {voice}.")
        self._lib.espeak_SetParameter(_RATE, round(_USUAL_RATE * speed), 0)
        status = self._lib.espeak_Synth(spoken, len(spoken), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status != _OK or self._lib.espeak_Synchronize() != _OK:
            # By this text or one before it something is broken: a new process has to tell which.
            os._exit(_BROKEN)
        return self._sample_rate

    def _hear(self, samples: int | None, count: int, _events: int | None) -> int:
        if samples and count:
            self._on_sound(ctypes.string_at(samples, count * 2))
        return 0

    def _list_voices(self) -> tuple[dict[str, str], list[dict[str, str]]]:
        """From each voice's id to the identifier that eSpeak knows it by; and the voices."""
        identifiers: dict[str, str] = {}
        voices: list[dict[str, str]] = []
        listed = self._lib.espeak_ListVoices(None)
        index = 0
        while listed[index]:
            row = listed[index].contents
            index += 1
            identifier = row.identifier.decode()
            id = identifier.rpartition("/")[2].lower()
            tag = ctypes.string_at(row.languages + 1).decode()
            name, language = row.name.decode().strip(), _CHINESE.get(tag) or _bcp47(tag)
            identifiers[id] = identifier
            voices.append({"id": id, "name": name, "language": language})
            if id in _DEFAULTS.values():
                identifiers[f"{id}-female"] = f"{identifier}+{_FEMALE}"
                voices.append({"id": f"{id}-female", "name": f"{name}, female", "language": language})
        return identifiers, voices


def _ignore(samples: bytes) -> None:
    """Where no call is made, no sound is heard."""


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
