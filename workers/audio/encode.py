"""Sound to a file, piece by piece, so that memory stays flat however long it becomes: mp3, Opus, or AAC in m4a."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from workers.audio.pcm import BYTES_PER_SAMPLE, Pcm
from workers.audio.tags import Cover, Tags

__all__ = ["Cover", "Encoding", "SoundWriter", "Tags"]

Form = Literal["mp3", "opus", "m4a"]

_CODECS: dict[Form, str] = {"mp3": "libmp3lame", "opus": "libopus", "m4a": "aac"}
_CONTAINERS: dict[Form, str] = {"mp3": "mp3", "opus": "opus", "m4a": "mp4"}
_OPUS_RATES = (24_000, 48_000)  # of those that Opus knows, the ones worth a voice
_EFFORT = "7"  # LAME's -q, 0 (slow) to 9: about twice as fast as its default of 3


@dataclass(frozen=True)
class Encoding:
    """How sound is written: `bit_rate` in bits a second, as a constant or, where `variable`, on average.

    AAC and Opus are always variable. Opus has sample rates of its own: it takes the next higher one.
    """

    form: Form = "mp3"
    sample_rate: int = 24_000
    bit_rate: int = 64_000  # plenty for one voice
    variable: bool = False

    @property
    def rate(self) -> int:
        """The sample rate of the file."""
        if self.form != "opus":
            return self.sample_rate
        return next((rate for rate in _OPUS_RATES if rate >= self.sample_rate), _OPUS_RATES[-1])

    @property
    def gain(self) -> float:
        """dB by which the sound must be louder before: LAME turns down what it is given to 95 %."""
        return 0.45 if self.form == "mp3" else 0.0

    @property
    def options(self) -> dict[str, str]:
        """What the encoder is told besides."""
        match self.form:
            case "mp3":
                return {"compression_level": _EFFORT, "abr": str(int(self.variable))}
            case "opus":
                return {"application": "voip", "vbr": "on"}
            case "m4a":
                return {"aac_coder": "fast"}  # three times as fast as its default


class SoundWriter:
    """A file that grows with each `write`; one channel, with tags, and a cover where the format has room for it.

    The sound comes at `source_rate` samples a second, and is brought to the file's own. Encoding blocks but releases
    the GIL: on an event loop call the methods through a thread. They wait for each other, so that closing is safe
    while a cancelled write still runs in its thread.
    """

    def __init__(
        self, path: Path, source_rate: int, tags: Tags, encoding: Encoding | None = None, cover: Cover | None = None
    ) -> None:
        encoding = encoding or Encoding()
        self._lock = threading.Lock()
        self._source_rate = source_rate
        self._samples = 0
        self._open, self._abandoned = True, False
        options = {"movflags": "+faststart", "brand": "M4A "} if encoding.form == "m4a" else {}
        self._container = av.open(str(path), "w", format=_CONTAINERS[encoding.form], options=options)
        codec = _CODECS[encoding.form]
        stream = self._container.add_stream(codec, rate=encoding.rate, layout="mono", options=encoding.options)
        self._stream = cast("AudioStream", stream)  # the codecs are all of sound
        self._stream.bit_rate = encoding.bit_rate
        self._container.metadata.update(tags.metadata())
        if tags.iso_language:
            self._stream.metadata["language"] = tags.iso_language
        if cover and encoding.form == "opus":
            self._container.metadata["METADATA_BLOCK_PICTURE"] = cover.picture_block()
        elif cover:
            cover.attach(self._container)

    @property
    def seconds(self) -> float:
        """How much sound has been written."""
        return self._samples / self._source_rate

    def write(self, pcm: Pcm) -> None:
        """Appends `pcm`. Raises ValueError where its sample rate is not the file's source's, or the file is closed."""
        if pcm.sample_rate != self._source_rate:
            raise ValueError(f"{pcm.sample_rate} samples a second do not fit into a file of {self._source_rate}")
        with self._lock:
            if not self._open:
                raise ValueError("the file is closed")
            self._encode(pcm.samples)

    def silence(self, seconds: float) -> None:
        """Appends `seconds` of silence."""
        samples = round(seconds * self._source_rate)
        self.write(Pcm(bytes(samples * BYTES_PER_SAMPLE), self._source_rate))

    def abandon(self) -> None:
        """From now on nothing more is written, also of what is being written: the file is of no use."""
        self._abandoned = True

    def close(self) -> None:
        """Writes what the encoder still holds, and ends the file; a second call does nothing."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, data: bytes) -> None:
        """Encodes `data` a second at a time, so that no frame becomes large."""
        step = self._source_rate * BYTES_PER_SAMPLE
        for start in range(0, len(data), step):
            if self._abandoned:
                return
            piece = data[start : start + step]
            frame = AudioFrame(format="s16", layout="mono", samples=len(piece) // BYTES_PER_SAMPLE)
            frame.sample_rate = self._source_rate
            frame.planes[0].update(piece)
            self._samples += frame.samples
            # The encoder's own resampler brings it to the file's rate and sample format.
            self._container.mux(self._stream.encode(frame))
