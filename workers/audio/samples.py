"""Sound as numbers, and what is done to a piece of it before it is joined to others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.audio.pcm import Pcm

Samples = NDArray[np.float32]
"""Samples of one channel, -1 to 1."""

FULL_SCALE = 32_768
_SILENT = 10 ** (-60 / 20)  # of full scale
_BREATH = 0.02  # seconds of silence that stay before and after what is heard
_FADE = 0.005  # seconds


def integers_of(pcm: Pcm) -> NDArray[np.int16]:
    """The samples of `pcm` as they are, without a copy."""
    return np.frombuffer(pcm.samples, "<i2")


def samples_of(pcm: Pcm) -> Samples:
    samples = integers_of(pcm).astype(np.float32)
    samples /= np.float32(FULL_SCALE)
    return samples


def pcm_of(samples: Samples, sample_rate: int) -> Pcm:
    """`samples` as 16-bit integers; what is beyond them is cut off."""
    scaled = samples * np.float32(FULL_SCALE)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1, out=scaled)
    return Pcm(scaled.astype("<i2").tobytes(), sample_rate)


def decibels(ratio: float) -> float:
    """20 log10 of a ratio of amplitudes; a very small number for none at all."""
    return float(20 * np.log10(max(ratio, 1e-9)))


def trimmed(samples: Samples, sample_rate: int) -> Samples:
    """`samples` without the silence that an engine put around them: how long a pause is, is ours to say."""
    first = _silence_before(samples, sample_rate)
    if first == len(samples):
        return samples
    last = len(samples) - _silence_before(samples[::-1], sample_rate)
    breath = round(_BREATH * sample_rate)
    return samples[max(0, first - breath) : last + breath]


def _silence_before(samples: Samples, some: int) -> int:
    """How many samples there are before the first that is heard; looks at `some` of them at a time."""
    for start in range(0, len(samples), some):
        heard = np.abs(samples[start : start + some]) > _SILENT
        if (first := int(np.argmax(heard))) or heard[:1].any():
            return start + first
    return len(samples)


def fade(samples: Samples, sample_rate: int) -> None:
    """Has `samples` begin and end at zero, so that no join is heard as a click."""
    if count := min(round(_FADE * sample_rate), len(samples) // 2):
        ramp = np.arange(count, dtype=np.float32) / np.float32(count)
        samples[:count] *= ramp
        samples[-count:] *= ramp[::-1]
