"""Whether a file of sound is all there: FFmpeg plays what it gets of a truncated one without a word.

Each format tells in its own way how much there should be; a service that streams may leave that open, and then only
the last piece shows whether it was cut.
"""

from __future__ import annotations

import struct

_UNKNOWN_SIZE = 0

# Layer III of ISO/IEC 11172-3 and 13818-3: kbit/s by the index in a frame's header, for MPEG 1 and for MPEG 2 and 2.5.
_MPEG_1 = 0b11
_BIT_RATES = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LOW_BIT_RATES = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
# Samples a second by that index, and what divides them by the version: 2.5, reserved, 2, 1.
_SAMPLE_RATES = (44_100, 48_000, 32_000)
_DIVISORS = (4, 1, 2, 1)
_RESERVED = 0b11


def wav_is_whole(data: bytes, largest: int) -> bool:
    """Whether the samples are as many bytes as the header says.

    Who streams does not know how many will come, and says 0, or a number that nothing real reaches: 0xFFFFFFFF,
    0x7FFFFFFF, 2 000 000 000. Beyond `largest` bytes it is not meant.
    """
    start = 12
    while start + 8 <= len(data):
        name, size = data[start : start + 4], int.from_bytes(data[start + 4 : start + 8], "little")
        if name == b"data":
            return size == _UNKNOWN_SIZE or size > largest or start + 8 + size <= len(data)
        start += 8 + size + size % 2
    return False


def flac_samples(data: bytes) -> int:
    """How many samples there are in all by STREAMINFO, the first block (RFC 9639, section 8.2); 0 if it is open."""
    return int.from_bytes(data[21:26], "big") & (1 << 36) - 1


def ogg_is_whole(data: bytes) -> bool:
    """Whether the last page is complete (RFC 3533, section 6)."""
    start = data.rfind(b"OggS")
    lacing = start + 27
    if start < 0 or lacing > len(data):
        return False
    sizes = data[lacing : lacing + data[lacing - 1]]
    return len(sizes) == data[lacing - 1] and lacing + len(sizes) + sum(sizes) <= len(data)


def mp3_frames(data: bytes) -> int:
    """How many frames there are in all by the Xing or Info header of the first frame; 0 if it is open."""
    start = max(data.find(b"Xing", 0, 8192), data.find(b"Info", 0, 8192))
    if start < 0 or start + 12 > len(data):
        return 0
    flags, frames = struct.unpack_from(">II", data, start + 4)
    return int(frames) if flags & 1 else 0


def mp3_frame_is_whole(frame: bytes) -> bool:
    """Whether `frame` is as long as its header says."""
    if len(frame) < 4:
        return False
    version, bit_rate, rate = frame[1] >> 3 & 0b11, frame[2] >> 4, frame[2] >> 2 & 0b11
    if rate == _RESERVED or bit_rate == 0 or bit_rate >= len(_BIT_RATES):
        return True  # a free format, or none at all: decoding tells
    rates, samples = (_BIT_RATES, 1152) if version == _MPEG_1 else (_LOW_BIT_RATES, 576)
    padding = frame[2] >> 1 & 1
    length = samples // 8 * rates[bit_rate] * 1000 // (_SAMPLE_RATES[rate] // _DIVISORS[version]) + padding
    return len(frame) >= length
