"""Whether a sound can be that of its text: an engine that returns too little or too much has failed quietly.

The bounds are wide on purpose. eSpeak NG needs 0.19 to 0.75 s for a Chinese character, 0.04 to 0.57 s for a Latin
letter or a digit, and up to 1.8 s for a sign whose name or number it reads out; other engines speak up to four times
as fast.
"""

from __future__ import annotations

import re

from app.core.errors import JobError
from workers.audio.pcm import Pcm

_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[0-9A-Za-z]+")
_MAX_WORD = 30  # characters; eSpeak NG drops the end of words far longer than any real one

_MIN_LENGTH = 0.02  # seconds
_MIN_HAN = 1 / 25
_MIN_LATIN = 1 / 80
_MAX_BASE = 3.0
_MAX_ORDINARY = 1.5
_MAX_OTHER = 3.0


def check_duration(text: str, pcm: Pcm, speed: float = 1.0) -> None:
    """Raises JobError (`implausible_audio`, retryable) where `pcm` is too short or too long to be all of `text`."""
    shortest, longest = bounds(text)
    if not shortest <= pcm.seconds * speed <= longest:
        raise JobError(
            "implausible_audio",
            f"The voice engine gave {pcm.seconds:.2f} s of sound for {len(text)} characters.",
            retryable=True,
        )


def bounds(text: str) -> tuple[float, float]:
    """The fewest and the most seconds that `text` can take to say."""
    han = len(_HAN.findall(text))
    words = [len(word) for word in _WORD.findall(text)]
    shortest = han * _MIN_HAN + sum(min(word, _MAX_WORD) for word in words) * _MIN_LATIN
    ordinary = han + sum(words)
    other = len("".join(text.split())) - ordinary
    return max(shortest, _MIN_LENGTH), _MAX_BASE + ordinary * _MAX_ORDINARY + other * _MAX_OTHER
