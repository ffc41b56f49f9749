"""The sound that the voice service of the tests makes: a tone as long as its text takes to say, the same each time."""

from __future__ import annotations

import hashlib
import io
import math
import struct
from array import array
from functools import cache

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

SAMPLE_RATE = 24_000
_SECONDS_PER_HAN = 0.25
_SECONDS_PER_LETTER = 0.07
_MIN_LENGTH = 0.1
KINDS = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "opus": "audio/ogg", "aac": "audio/aac"}
# FFmpeg's names of container and codec.
_CODECS = {"mp3": ("mp3", "libmp3lame"), "flac": ("flac", "flac"), "opus": ("ogg", "libopus"), "aac": ("adts", "aac")}


def seconds_of(text: str) -> float:
    """How long this service speaks `text`."""
    han = sum("\u4e00" <= char <= "\u9fff" for char in text)
    letters = sum(char.isalnum() for char in text) - han
    return max(_MIN_LENGTH, han * _SECONDS_PER_HAN + letters * _SECONDS_PER_LETTER)


@cache
def samples_of(text: str) -> bytes:
    """Signed 16-bit mono samples: a tone whose pitch is the text's own."""
    period = 60 + hashlib.sha256(text.encode()).digest()[0] % 200
    wave = array("h", [round(8000 * math.sin(2 * math.pi * step / period)) for step in range(period)]).tobytes()
    count = int(seconds_of(text) * SAMPLE_RATE)
    return (wave * (count // period + 1))[: count * 2]


def wav(samples: bytes, *, told: int | None = None, channels: int = 1) -> bytes:
    """A wav file of `samples`, whose header says that they are `told` bytes."""
    size = len(samples) if told is None else told
    rate = SAMPLE_RATE * 2 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, SAMPLE_RATE, rate, 2 * channels, 16)
    riff = struct.pack("<4sI4s", b"RIFF", min(size + 36, 0xFFFFFFFF), b"WAVE")
    return riff + form + struct.pack("<4sI", b"data", size) + samples


def sound_of(text: str, form: str) -> bytes:
    """The file that this service sends for `text`."""
    samples = samples_of(text)
    return wav(samples) if form == "wav" else encoded(samples, form)


def encoded(samples: bytes, form: str, **options: str) -> bytes:
    """`samples` as mp3, flac, opus or aac; `options` are the container's."""
    container, codec = _CODECS[form]
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options) as output:
        rate = 48_000 if form == "opus" else SAMPLE_RATE
        stream: AudioStream = output.add_stream(codec, rate=rate, layout="mono")  # type: ignore[assignment] # by name
        frame = AudioFrame(format="s16", layout="mono", samples=len(samples) // 2)
        frame.sample_rate = SAMPLE_RATE
        frame.planes[0].update(samples)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()
