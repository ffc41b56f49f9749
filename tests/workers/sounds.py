"""Sounds for tests, and what another FFmpeg than ours says of a file: Debian's `ffmpeg` and `ffprobe`."""

from __future__ import annotations

import array
import io
import json
import math
import re
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from tests.programs import program
from workers.audio.pcm import Pcm


class Loudness(NamedTuple):
    """In LUFS, and in dB of full scale."""

    integrated: float
    true_peak: float


def tone(seconds: float, rate: int, loud: int = 10_000) -> Pcm:
    wave = (round(loud * math.sin(2 * math.pi * 440 * index / rate)) for index in range(int(seconds * rate)))
    return Pcm(array.array("h", wave).tobytes(), rate)


def picture(codec: str = "mjpeg") -> bytes:
    """A small picture as a file: `mjpeg` or `png`."""
    file = io.BytesIO()
    with av.open(file, "w", format="image2pipe") as container:
        stream = container.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 120, np.uint8), "rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return file.getvalue()


def probed(path: Path) -> dict[str, Any]:
    """What `ffprobe` shows of a file: `format` and `streams`."""
    command = [program("ffprobe"), "-v", "error", "-of", "json", "-show_format", "-show_streams", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def measured(path: Path) -> Loudness:
    """What FFmpeg's `ebur128` measures."""
    graph = ["-map", "0:a", "-af", "ebur128=peak=true", "-f", "null", "-"]
    command = [program("ffmpeg"), "-hide_banner", "-nostats", "-i", str(path), *graph]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stderr.rpartition("Summary:")[2]
    integrated, peak = re.search(r"I: +(\S+) LUFS", said), re.search(r"Peak: +(\S+) dBFS", said)
    assert integrated
    assert peak
    return Loudness(float(integrated[1]), float(peak[1]))


def decoded(path: Path) -> bytes:
    """The samples of a file, 16 bits each, in one channel."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", container.streams.audio[0].rate)
        frames = [*container.decode(audio=0), None]
        return b"".join(
            bytes(piece.planes[0])[: piece.samples * 2] for frame in frames for piece in resampler.resample(frame)
        )
