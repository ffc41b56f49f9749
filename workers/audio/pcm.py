"""Sound as it comes from a voice: samples, not yet levelled or encoded."""

from __future__ import annotations

from dataclasses import dataclass

BYTES_PER_SAMPLE = 2


@dataclass(frozen=True)
class Pcm:
    """Sound: `samples` are signed 16-bit little-endian, one channel, `sample_rate` of them a second."""

    samples: bytes
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / BYTES_PER_SAMPLE / self.sample_rate
