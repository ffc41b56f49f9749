"""What eSpeak NG would say of texts, in a process of its own: set up anew, and alone with the library's globals.

Run as `python -m tests.workers.speech.phonemes VOICE`: JSON lists, texts on standard input, phonemes on the output.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import espeakng_loader

_ROOT = Path(__file__).parents[3]
# Names and values of eSpeak NG's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1


def phonemes(texts: list[str], voice: str) -> list[str]:
    """The phonemes of each text, as eSpeak NG writes them. Raises CalledProcessError, also where it crashes."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.workers.speech.phonemes", voice],
        cwd=_ROOT,
        input=json.dumps(texts).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    said: list[str] = json.loads(done.stdout)
    return said


def main(voice: str, texts: list[str]) -> list[str]:
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
    data = espeakng_loader.get_data_path().encode()
    library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT)
    said = []
    for text in texts:
        library.espeak_SetVoiceByName(voice.encode())
        buffer = ctypes.create_string_buffer(text.encode())
        left = ctypes.c_void_p(ctypes.addressof(buffer))
        parts = []
        while left.value:
            parts.append(library.espeak_TextToPhonemes(ctypes.byref(left), _CHARS_UTF8, 0).decode())
        said.append("".join(parts))
    return said


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.load(sys.stdin))))
