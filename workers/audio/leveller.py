"""Brings speech to one loudness while it comes, in memory that does not grow.

Each voice has one gain, from the loudness of all that was heard of it so far. The first minute is held back until it
is measured; from then on every further piece refines the gain by less than is heard. It depends on nothing but the
pieces and their order: whoever is interrupted and begins again comes to the same samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workers.audio.loudness import Meter
from workers.audio.pcm import Pcm
from workers.audio.samples import Samples, decibels, fade, pcm_of, samples_of, trimmed

_AHEAD = 60.0  # seconds that are held back
_MAX_GAIN = 30.0  # dB
_GAIN_STEP = 0.1  # dB
# An encoder and another sample rate add to the peaks: this much lower is the limit before them.
_HEADROOM = 1.2  # dB
_MAX_LIFT = 2.0  # dB, for what the limiter takes away
_STEP = 0.001  # seconds for which the limiter has one gain
_ATTACK = 5  # steps in which it comes down before a peak, and goes up after it


@dataclass(frozen=True)
class Level:
    """What is wanted: the loudness in LUFS, and the highest true peak in dB of full scale."""

    lufs: float = -19.0
    true_peak: float = -3.0


@dataclass(frozen=True)
class Piece:
    """A sound, and the silence after it in seconds; `speaker` is whose it is."""

    pcm: Pcm
    pause: float
    speaker: str = ""


@dataclass
class Leveller:
    """Takes pieces and gives them back, in order, as loud as `level` says; each begins and ends without a click."""

    level: Level
    _meters: dict[str, Meter] = field(default_factory=dict)
    _lifts: dict[str, float] = field(default_factory=dict)
    _held: list[tuple[Samples, Piece]] = field(default_factory=list)
    _heard: float = 0.0

    def add(self, piece: Piece) -> Iterator[Piece]:
        """Measures `piece`, and gives whatever is ready, one after the other."""
        rate = piece.pcm.sample_rate
        samples = trimmed(samples_of(piece.pcm), rate)
        self._meters.setdefault(piece.speaker, Meter()).add(samples, rate)
        self._held.append((samples, piece))
        self._heard += len(samples) / rate
        return self.rest() if self._heard >= _AHEAD else iter(())

    def rest(self) -> Iterator[Piece]:
        """Gives what is held back, one after the other."""
        held, self._held = self._held, []
        for speaker in dict.fromkeys(piece.speaker for _, piece in held):
            if speaker not in self._lifts:
                self._lifts[speaker] = self._lift([(one, piece) for one, piece in held if piece.speaker == speaker])
        return (self._levelled(samples, piece) for samples, piece in held)

    def _levelled(self, samples: Samples, piece: Piece) -> Piece:
        rate = piece.pcm.sample_rate
        # In place: nobody needs them as they were, and new memory costs more than the arithmetic.
        samples *= _factor(self._gain(piece.speaker))
        limit(samples, rate, self._ceiling)
        fade(samples, rate)
        return Piece(pcm_of(samples, rate), piece.pause, piece.speaker)

    def _lift(self, held: list[tuple[Samples, Piece]]) -> float:
        """What the limiter takes away from a speaker's loudness, in dB."""
        gain = _factor(self._gain(held[0][1].speaker))
        meter = Meter()
        for samples, piece in held:
            loud = samples * gain
            limit(loud, piece.pcm.sample_rate, self._ceiling)
            meter.add(loud, piece.pcm.sample_rate)
        return 0.0 if meter.lufs is None else min(max(self.level.lufs - meter.lufs, 0.0), _MAX_LIFT)

    @property
    def _ceiling(self) -> float:
        return float(10 ** ((self.level.true_peak - _HEADROOM) / 20))

    def _gain(self, speaker: str) -> float:
        """In dB, in steps, so that no last digit of a sum is ever heard."""
        lufs = self._meters[speaker].lufs
        if lufs is None:
            return 0.0
        gain = min(self.level.lufs - lufs, _MAX_GAIN) + self._lifts.get(speaker, 0.0)
        return round(gain / _GAIN_STEP) * _GAIN_STEP


def _factor(gain: float) -> np.float32:
    return np.float32(10 ** (gain / 20))


def limit(samples: Samples, sample_rate: int, ceiling: float) -> None:
    """Has none of `samples` be beyond `ceiling`: the gain goes down ahead of each peak, and up again, within 5 ms.

    Looks closely only at what is near a peak, which is about a fifth of speech.
    """
    beyond = np.flatnonzero((samples > ceiling) | (samples < -ceiling))
    if not beyond.size:
        return
    step = max(1, round(_STEP * sample_rate))
    least = _least_gains(samples, beyond, step, np.float32(ceiling))
    # From the least gain of all steps around, the mean: nowhere more than a step needs, and nowhere a jump. These are
    # the gains at the edges of the steps; within a step the gain goes straight from one to the other.
    lower = _sliding(np.minimum, least, 2 * _ATTACK) < 1
    gains = np.ones(len(lower), np.float32)
    gains[lower] = np.lib.stride_tricks.sliding_window_view(least, 2 * _ATTACK)[lower].mean(axis=1)
    touched = np.flatnonzero(lower[:-1] | lower[1:])
    ramp = np.arange(step, dtype=np.float32) / np.float32(step)
    curve = (gains[touched + 1] - gains[touched])[:, None] * ramp
    curve += gains[touched, None]
    whole = len(samples) // step
    if touched[-1] == whole:
        # The last step is not a whole one.
        samples[whole * step :] *= curve[-1, : len(samples) - whole * step]
        touched, curve = touched[:-1], curve[:-1]
    samples[: whole * step].reshape(-1, step)[touched] *= curve


def _least_gains(samples: Samples, beyond: NDArray[np.intp], step: int, ceiling: np.float32) -> Samples:
    """The least gain of the steps around each step, and around those that would be before and after them."""
    steps = beyond // step
    first = np.flatnonzero(np.diff(steps, prepend=-1))
    peaks = np.maximum.reduceat(np.abs(samples[beyond]), first)
    needed = np.ones(-(-len(samples) // step) + 4 * _ATTACK, np.float32)
    needed[steps[first] + 2 * _ATTACK] = np.minimum(np.float32(1), ceiling / peaks)
    return _sliding(np.minimum, needed, 2 * _ATTACK + 1)


def _sliding(most: np.ufunc, values: Samples, width: int) -> Samples:
    """`most` (the highest or the lowest) of each `width` values in a row: from those of each 2, 4, 8 … of them."""
    done = 1
    while done < width:
        further = min(done, width - done)
        values = most(values[:-further], values[further:])
        done += further
    return values


def peak(samples: Samples) -> float:
    """The highest sample in dB of full scale."""
    return decibels(float(np.max(np.abs(samples), initial=0.0)))
