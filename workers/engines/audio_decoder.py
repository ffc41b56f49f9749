"""From a file of sound, as a voice service sends it, to samples; anything but whole and clean sound is an error."""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from app.core.errors import JobError
from workers.audio.pcm import BYTES_PER_SAMPLE, Pcm
from workers.engines.truncation import flac_samples, mp3_frame_is_whole, mp3_frames, ogg_is_whole, wav_is_whole

# What an mp3 file can have; sound of any other rate is brought to the usual one of voices.
_RATES = {8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}
_USUAL_RATE = 24_000


def decode(data: bytes, largest: int) -> Pcm:
    """The sound in `data` (wav, flac, mp3, Ogg or AAC), in one channel, at its own sample rate where mp3 has that.

    Blocks. Raises JobError (`tts_bad_audio`, retryable) where it is none of these, empty, truncated, broken, or
    would be more than `largest` bytes of samples.
    """
    form = _form(data)
    if (form == "wav" and not wav_is_whole(data, largest)) or (form == "ogg" and not ogg_is_whole(data)):
        raise bad_audio("truncated sound")
    try:
        # The form is given, never guessed: FFmpeg also knows forms that make it open other files and addresses.
        with av.open(io.BytesIO(data), "r", format=form) as container:
            return _decoded(container, form, data, largest)
    except (av.FFmpegError, ValueError, IndexError) as error:  # ValueError: the sample rate changes on the way
        raise bad_audio("broken sound") from error


def bad_audio(what: str) -> JobError:
    """The error that says that the service sent `what` where sound should have been."""
    return JobError("tts_bad_audio", f"The voice service sent {what}.", retryable=True)


def _form(data: bytes) -> str:
    """FFmpeg's name for what `data` is by its first bytes."""
    if not data:
        raise bad_audio("nothing")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "wav"
    for mark, form in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3")):
        if data.startswith(mark):
            return form
    # MPEG audio: eleven bits of sync, two of version, two of layer: III is mp3, 0 is AAC in ADTS.
    layer = data[1] >> 1 & 0b11 if len(data) > 1 and data[0] == 0xFF and data[1] >= 0xE0 else None
    if layer not in {0b00, 0b01}:
        raise bad_audio("something that is no sound")
    return "mp3" if layer else "aac"


def _decoded(container: InputContainer, form: str, data: bytes, largest: int) -> Pcm:
    streams = container.streams.audio
    # PyAV gives a stream without a codec where the file ends before that is known; decoding it would end the process.
    if not streams or streams[0].codec_context is None:
        raise bad_audio("broken sound")
    stream = streams[0]
    resampler = AudioResampler("s16", "mono", stream.rate if stream.rate in _RATES else _USUAL_RATE)
    heard = bytearray()
    for frame in _frames(container, stream, form, data):
        for piece in resampler.resample(frame):
            heard += memoryview(piece.planes[0])[: piece.samples * BYTES_PER_SAMPLE]
        if len(heard) > largest:
            raise bad_audio("far too much sound")
    if not heard:
        raise bad_audio("no sound")
    return Pcm(bytes(heard), resampler.rate)


def _frames(container: InputContainer, stream: AudioStream, form: str, data: bytes) -> Iterator[AudioFrame | None]:
    """The frames of the sound, then None. Raises JobError where the file says that there should be more."""
    packets = samples = 0
    for packet in container.demux(stream):
        if form == "mp3" and packet.size:
            packets += 1
            _check(mp3_frame_is_whole(bytes(packet)))
        for frame in packet.decode():
            samples += frame.samples
            yield frame
    _check(form != "mp3" or packets >= mp3_frames(data))
    _check(form != "flac" or samples >= flac_samples(data))
    if samples:
        yield None


def _check(whole: bool) -> None:
    if not whole:
        raise bad_audio("truncated sound")
