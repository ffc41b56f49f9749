"""The proof that a chapter was read aloud as a whole: for each segment its place in the text and how long it took."""

from __future__ import annotations

import re
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from workers.audio.pcm import Pcm
from workers.audio.samples import FULL_SCALE, integers_of
from workers.core.cancellation import Check, unchecked
from workers.speech.duration_check import bounds

Flag = Literal["implausible", "fast", "slow", "silent", "clipped"]

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_HAN_WEIGHT = 3  # letters that take as long as a Chinese character
_DIGIT_WEIGHT = 4  # and as a digit
_FEWEST = 12  # letters by which a pace can be judged
_TOO_FAST = 1.8  # times the usual pace of the chapter
_TOO_SLOW = 0.5
_QUIET = int(10 ** (-50 / 20) * FULL_SCALE)
_MAX_GAP = 3.0  # seconds without sound within a segment
_CLIPPED_RUN = 4  # samples at full scale in a row
_FULL = FULL_SCALE - 2
_EXCERPT = 200


@dataclass(frozen=True)
class Take:
    """A segment as it was heard: `start` and `end` in the chapter's text (0, 0 for the title), and what was said."""

    start: int
    end: int
    text: str
    said: str
    name: str
    seconds: float
    silent: bool
    clipped: bool
    speed: float = 1.0


def heard(pcm: Pcm | None) -> tuple[float, bool, bool]:
    """Seconds, whether there is a long silence in it or nothing else, whether it is clipped."""
    if pcm is None:
        return 0.0, False, False
    samples = integers_of(pcm)
    seconds = np.arange(0, len(samples), pcm.sample_rate)
    if not seconds.size:
        return pcm.seconds, True, False
    # Seldom more than the loudest sample of each second has to be looked at. Of -32 768 there is no opposite: this is
    # one less than the loudest, where that is a negative one.
    loudest = np.maximum(np.maximum.reduceat(samples, seconds), ~np.minimum.reduceat(samples, seconds))
    silent = not (loudest > _QUIET).all() and _is_silent(samples, pcm.sample_rate)
    return pcm.seconds, silent, bool((loudest >= _FULL - 1).any()) and _is_clipped(samples)


def _is_silent(samples: NDArray[np.int16], sample_rate: int) -> bool:
    """Whether there is a long silence in it, or nothing else."""
    loud = np.flatnonzero((samples > _QUIET) | (samples < -_QUIET))
    return not loud.size or int(np.max(np.diff(loud), initial=0)) / sample_rate > _MAX_GAP


def _is_clipped(samples: NDArray[np.int16]) -> bool:
    """Whether some samples in a row are at full scale."""
    full = np.flatnonzero((samples >= _FULL) | (samples <= -_FULL))
    # Of so many places in a row, the last is so far from the first.
    apart = full[_CLIPPED_RUN - 1 :] - full[: len(full) - _CLIPPED_RUN + 1] if len(full) >= _CLIPPED_RUN else full[:0]
    return bool((apart == _CLIPPED_RUN - 1).any())


def report_of(takes: list[Take], check: Check = unchecked) -> dict[str, Any]:
    """What is kept beside the audio, as JSON; `name` is what a segment's sound is kept by."""
    paces, entries = [], []
    for take in takes:
        check()
        if letters(take.said) >= _FEWEST:
            paces.append(pace(take))
    usual = median(paces) if paces else None
    for index, take in enumerate(takes):
        check()
        entries.append(_entry(index, take, usual))
    return {"segments": entries}


def letters(said: str) -> int:
    """How much there is to say, in letters."""
    digits, han = sum(map(str.isdigit, said)), len(_HAN.findall(said))
    return sum(map(str.isalnum, said)) + (_DIGIT_WEIGHT - 1) * digits + (_HAN_WEIGHT - 1) * han


def pace(take: Take) -> float:
    """Letters a second, at the usual speed of the voice."""
    return letters(take.said) / max(take.seconds, 0.01) / take.speed


def _entry(index: int, take: Take, usual: float | None) -> dict[str, Any]:
    return {
        "index": index,
        "start": take.start,
        "end": take.end,
        "text": take.text.strip()[:_EXCERPT],
        "seconds": round(take.seconds, 3),
        "charactersPerSecond": round(len(take.said) / take.seconds, 2) if take.seconds else 0.0,
        "flags": _flags(take, usual) if take.said else [],
        "name": take.name,
    }


def _flags(take: Take, usual: float | None) -> list[Flag]:
    shortest, longest = bounds(take.said)
    flags: list[Flag] = []
    if not shortest <= take.seconds * take.speed <= longest:
        flags.append("implausible")
    if usual and letters(take.said) >= _FEWEST:
        flags += ["fast"] if pace(take) > usual * _TOO_FAST else []
        flags += ["slow"] if pace(take) < usual * _TOO_SLOW else []
    flags += ["silent"] if take.silent else []
    flags += ["clipped"] if take.clipped else []
    return flags
