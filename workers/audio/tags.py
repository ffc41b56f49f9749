"""What players show of a file of sound: its tags, and the picture on its cover."""

from __future__ import annotations

import base64
import io
import struct
from dataclasses import dataclass

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Disposition

# ISO 639-2/T, which ID3 and MP4 ask for.
_ISO_LANGUAGES = {"zh": "zho", "en": "eng"}
_CODECS = {"image/jpeg": "mjpeg", "image/png": "png"}
_FRONT_COVER = 3  # of ID3v2's and FLAC's kinds of pictures


@dataclass(frozen=True)
class Tags:
    """What players show: `track` of `tracks`, `language` as BCP 47. Empty ones are left out."""

    title: str = ""
    album: str = ""
    artist: str = ""
    track: int = 0
    tracks: int = 0
    language: str = ""

    @property
    def iso_language(self) -> str:
        """The language in three letters; empty where that is not known."""
        return _ISO_LANGUAGES.get(self.language.partition("-")[0], "")

    def metadata(self) -> dict[str, str]:
        """The tags under the names that FFmpeg writes as ID3v2 frames."""
        track = "/".join(str(number) for number in (self.track, self.tracks) if number)
        named = {
            "title": self.title,
            "album": self.album,
            "artist": self.artist,
            "album_artist": self.artist,
            "track": track,
            "language": self.iso_language,
            "genre": "Audiobook",
        }
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Cover:
    """A picture as it is in its file, and its media type: JPEG or PNG."""

    data: bytes
    type: str
    width: int
    height: int

    @classmethod
    def of(cls, data: bytes, type: str) -> Cover | None:
        """The cover in `data`; None where it is no JPEG or PNG that can be looked at: players know no others."""
        if (codec := _CODECS.get(type)) is None:
            return None
        try:
            # The form is given, never guessed: FFmpeg also knows forms that make it open other files and addresses.
            with av.open(io.BytesIO(data), "r", format=f"{'jpeg' if codec == 'mjpeg' else codec}_pipe") as container:
                stream = container.streams.video[0]
                return cls(data, type, stream.width, stream.height) if stream.width and stream.height else None
        except (av.FFmpegError, IndexError, ValueError):
            return None

    def attach(self, container: OutputContainer) -> None:
        """Puts the picture into a file that is about to be written, before its sound."""
        stream = container.add_mux_stream(_CODECS[self.type], width=self.width, height=self.height)
        stream.disposition = Disposition.attached_pic
        stream.metadata["comment"] = "Cover (front)"
        container.start_encoding()
        packet = Packet(self.data)
        packet.stream = stream
        packet.pts = packet.dts = 0
        container.mux_one(packet)

    def picture_block(self) -> str:
        """The picture as Vorbis comments carry it: FLAC's picture block (RFC 9639, section 8.8) in Base64."""
        type = self.type.encode()
        head = struct.pack(">II", _FRONT_COVER, len(type)) + type + struct.pack(">I", 0)
        sizes = struct.pack(">IIIII", self.width, self.height, 24, 0, len(self.data))
        return base64.b64encode(head + sizes + self.data).decode()
