"""A chapter's part of an m4b: its mp3 as AAC, in a form that can be joined to others without encoding it again."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import av
from av.audio.resampler import AudioResampler

RATE = 24_000  # samples a second, of every part: more than a voice needs
BIT_RATE = 64_000
EDITION = 1
"""Raise this with every change that makes another part of the same audio."""

_OPTIONS = {"aac_coder": "fast"}  # about twice as fast as its default, resampling included
_STEP_SECONDS = 30
_FRAME_SAMPLES = 1024


def encode(source: Path, target: Path) -> Generator[int]:
    """Encodes the audio file `source` into `target`; yields the seconds done, now and then, as it goes.

    Raises ValueError or IndexError where `source` is no audio.
    """
    done = told = 0
    with av.open(str(source)) as given, av.open(str(target), "w", format="ipod") as made:
        stream = made.add_stream("aac", rate=RATE, layout="mono", options=_OPTIONS)
        stream.bit_rate = BIT_RATE
        resampler = AudioResampler(format="fltp", layout="mono", rate=RATE, frame_size=_FRAME_SAMPLES)
        for frame in given.decode(audio=0):
            for even in resampler.resample(frame):
                done += even.samples
                made.mux(stream.encode(even))
            if done // RATE >= told + _STEP_SECONDS:
                told = done // RATE
                yield told
        for even in resampler.resample(None):
            made.mux(stream.encode(even))
        made.mux(stream.encode(None))
