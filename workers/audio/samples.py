"""Sound as numbers, and what is done to a piece of it before it is joined to others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workers.speech.engine import Pcm

Samples = NDArray[np.float32]
"""Samples of one channel, -1 to 1."""

FULL_SCALE = 32_768
_SILENT = 10 ** (-60 / 20)  # of full scale
_BREATH = 0.02  # seconds of silence that stay before and after what is heard
_FADE = 0.005  # seconds


def samples_of(pcm: Pcm) -> Samples:
    return np.frombuffer(pcm.samples, "<i2").astype(np.float32) / np.float32(FULL_SCALE)


def pcm_of(samples: Samples, sample_rate: int) -> Pcm:
    """`samples` as 16-bit integers; what is beyond them is cut off."""
    scaled = np.rint(samples * np.float32(FULL_SCALE))
    return Pcm(np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes(), sample_rate)


def decibels(ratio: float) -> float:
    """20 log10 of a ratio of amplitudes; a very small number for none at all."""
    return float(20 * np.log10(max(ratio, 1e-9)))


def trimmed(samples: Samples, sample_rate: int) -> Samples:
    """`samples` without the silence that an engine put around them: how long a pause is, is ours to say."""
    heard = np.flatnonzero(np.abs(samples) > _SILENT)
    if not heard.size:
        return samples
    breath = round(_BREATH * sample_rate)
    return samples[max(0, int(heard[0]) - breath) : int(heard[-1]) + 1 + breath]


def faded(samples: Samples, sample_rate: int) -> Samples:
    """`samples` that begin and end at zero, so that no join is heard as a click."""
    count = min(round(_FADE * sample_rate), len(samples) // 2)
    if not count:
        return samples
    ramp = np.arange(count, dtype=np.float32) / np.float32(count)
    result = samples.copy()
    result[:count] *= ramp
    result[-count:] *= ramp[::-1]
    return result
