"""Loudness by ITU-R BS.1770-4 and EBU R 128: what one channel of speech measures in LUFS.

The K-weighting is applied to the spectrum of each tenth of a second (Parseval's theorem): some 2000 times as fast as
the sound plays, where a recursive filter in Python would be slower than the voice, and within 0.1 LU of FFmpeg's
`ebur128`.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from workers.audio.samples import Samples

_PER_SECOND = 10  # a block of 400 ms begins each 100 ms
_PIECES = 4  # of a block
_AT_ONCE = 5
_OFFSET = -0.691
_ABSOLUTE_GATE = -70.0
_RELATIVE_GATE = -10.0
_PER_UNIT = 20  # bins of a histogram for each LU
_LOUDEST = 10.0

# The two filters of the K-weighting as BS.1770 gives them, for 48 kHz: b0, b1, b2, a1, a2.
_FILTERS = (
    (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585),
    (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621),
)
_FILTER_RATE = 48_000


class Meter:
    """The integrated loudness of all that was added so far. Its size does not grow: it keeps a histogram."""

    def __init__(self) -> None:
        self._counts = np.zeros(round((_LOUDEST - _ABSOLUTE_GATE) * _PER_UNIT), np.int64)
        self._energies = 10 ** ((_levels(len(self._counts)) - _OFFSET) / 10)

    def add(self, samples: Samples, sample_rate: int) -> None:
        """Adds a piece of sound that has silence before and after it."""
        blocks = _blocks(samples, sample_rate)
        levels = _OFFSET + 10 * np.log10(np.maximum(blocks, 1e-12))
        bins = np.floor((levels[levels > _ABSOLUTE_GATE] - _ABSOLUTE_GATE) * _PER_UNIT).astype(np.int64)
        np.add.at(self._counts, np.minimum(bins, len(self._counts) - 1), 1)

    @property
    def lufs(self) -> float | None:
        """None where nothing was to be heard."""
        if not (count := self._counts.sum()):
            return None
        gate = _OFFSET + 10 * np.log10((self._counts @ self._energies) / count) + _RELATIVE_GATE
        loud = np.where(_levels(len(self._counts)) > gate, self._counts, 0)
        return float(_OFFSET + 10 * np.log10((loud @ self._energies) / loud.sum()))


def _levels(bins: int) -> NDArray[np.float64]:
    """The loudness in the middle of each bin."""
    return _ABSOLUTE_GATE + (np.arange(bins) + 0.5) / _PER_UNIT


def _blocks(samples: Samples, sample_rate: int) -> NDArray[np.float64]:
    """The weighted mean square of each block, those included that reach into the silence around `samples`."""
    length = sample_rate // _PER_SECOND
    squares, weights = np.empty(-(-len(samples) // length)), _weights(sample_rate, length)
    # Half a second at a time, and in the same memory, stays in the processor's cache; all at once asks the system for
    # memory each time, which costs more than the arithmetic. In 64 bits: numpy's transform is twice as fast as in 32.
    pieces, spectrum = np.empty((_AT_ONCE, length)), np.empty((_AT_ONCE, len(weights) // 2), np.complex128)
    for first in range(0, len(squares), _AT_ONCE):
        some = squares[first : first + _AT_ONCE]
        taken = samples[first * length : (first + _AT_ONCE) * length]
        pieces.reshape(-1)[: len(taken)] = taken
        pieces.reshape(-1)[len(taken) :] = 0
        parts = np.fft.rfft(pieces, out=spectrum).view(np.float64)
        np.square(parts, out=parts)
        np.matmul(parts[: len(some)], weights, out=some)
    padded = np.concatenate([np.zeros(_PIECES - 1), squares, np.zeros(_PIECES - 1)])
    return np.convolve(padded, np.full(_PIECES, 1 / _PIECES), "valid")


@cache
def _weights(sample_rate: int, length: int) -> NDArray[np.float64]:
    """What each bin of a real spectrum of `length` samples adds to their weighted mean square, by the square of its
    real part and by that of its imaginary part."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(length, 1 / sample_rate) / _FILTER_RATE)
    weights = np.full(len(z), 2.0)
    weights[0] = 1
    if length % 2 == 0:
        weights[-1] = 1
    for b0, b1, b2, a1, a2 in _FILTERS:
        weights *= np.abs((b0 + b1 * z + b2 * z**2) / (1 + a1 * z + a2 * z**2)) ** 2
    return np.repeat(weights / length**2, 2)
