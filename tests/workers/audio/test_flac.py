"""Kept sound: given back sample for sample, or found to be damaged."""

from __future__ import annotations

import numpy as np
import pytest

from workers.audio.flac import packed, unpacked
from workers.audio.pcm import Pcm

SPEECH = np.random.default_rng(1).normal(0, 3000, 50_000).astype("<i2").tobytes()


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_768, 44_100, 48_000, 96_000])
def test_sound_comes_back_as_it_was(sample_rate: int) -> None:
    assert unpacked(packed(Pcm(SPEECH, sample_rate))) == Pcm(SPEECH, sample_rate)


@pytest.mark.parametrize("samples", [bytes(2), bytes(100_000), SPEECH[:2], b"\xff\x7f\x00\x80" * 9000])
def test_short_silent_and_loud_sound_comes_back(samples: bytes) -> None:
    assert unpacked(packed(Pcm(samples, 22_050))) == Pcm(samples, 22_050)


@pytest.mark.parametrize("place", [0.0, 0.05, 0.3, 0.6, 0.99])
def test_damage_is_noticed(place: float) -> None:
    content = bytearray(packed(Pcm(SPEECH, 22_050)))
    content[int(len(content) * place)] ^= 0x55
    with pytest.raises(ValueError, match=r"damaged|cut short"):
        unpacked(bytes(content))


@pytest.mark.parametrize("part", [0.0, 0.0001, 0.5, 0.99])
def test_what_is_cut_short_is_noticed(part: float) -> None:
    content = packed(Pcm(SPEECH, 22_050))
    with pytest.raises(ValueError, match=r"damaged|cut short"):
        unpacked(content[: int(len(content) * part)])
