"""Sound to an mp3 file, piece by piece, so that memory stays flat however long it becomes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from workers.speech.engine import BYTES_PER_SAMPLE, Pcm

BIT_RATE = 64_000  # bits a second: plenty for one voice
_EFFORT = "7"  # LAME's -q, 0 (slow) to 9: about twice as fast as its default of 3


@dataclass(frozen=True)
class Tags:
    """What players show: `track` of `tracks`, `language` as BCP 47. Empty ones are left out."""

    title: str = ""
    album: str = ""
    artist: str = ""
    track: int = 0
    tracks: int = 0
    language: str = ""

    def metadata(self) -> dict[str, str]:
        """The tags under the names that FFmpeg writes as ID3v2 frames."""
        track = "/".join(str(number) for number in (self.track, self.tracks) if number)
        named = {
            "title": self.title,
            "album": self.album,
            "artist": self.artist,
            "track": track,
            "language": self.language,
            "genre": "Audiobook",
        }
        return {name: value for name, value in named.items() if value}


class Mp3Writer:
    """An mp3 file that grows with each `write`; one channel, constant bit rate, ID3v2 tags.

    Encoding blocks but releases the GIL: on an event loop call the methods through a thread. They wait for each
    other, so that closing is safe while a cancelled write still runs in its thread.
    """

    def __init__(self, path: Path, sample_rate: int, tags: Tags, *, bit_rate: int = BIT_RATE) -> None:
        self._lock = threading.Lock()
        self._sample_rate = sample_rate
        self._samples = 0
        self._open = True
        self._container = av.open(str(path), "w", format="mp3")
        self._container.metadata.update(tags.metadata())
        self._stream: AudioStream = self._container.add_stream(
            "libmp3lame", rate=sample_rate, layout="mono", options={"compression_level": _EFFORT}
        )
        self._stream.bit_rate = bit_rate

    @property
    def seconds(self) -> float:
        """How much sound has been written."""
        return self._samples / self._sample_rate

    def write(self, pcm: Pcm) -> None:
        """Appends `pcm`. Raises ValueError where its sample rate is not the file's, or the file is closed."""
        if pcm.sample_rate != self._sample_rate:
            raise ValueError(f"{pcm.sample_rate} samples a second do not fit into a file of {self._sample_rate}")
        with self._lock:
            if not self._open:
                raise ValueError("the file is closed")
            self._encode(pcm.samples)

    def silence(self, seconds: float) -> None:
        """Appends `seconds` of silence."""
        samples = round(seconds * self._sample_rate)
        self.write(Pcm(bytes(samples * BYTES_PER_SAMPLE), self._sample_rate))

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
        step = self._sample_rate * BYTES_PER_SAMPLE
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            frame = AudioFrame(format="s16", layout="mono", samples=len(piece) // BYTES_PER_SAMPLE)
            frame.sample_rate = self._sample_rate
            frame.planes[0].update(piece)
            self._samples += frame.samples
            self._container.mux(self._stream.encode(frame))
