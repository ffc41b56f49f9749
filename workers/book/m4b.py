"""The m4b: parts joined packet by packet into one file with chapter marks, cover and tags; nothing is encoded again."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import structlog
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition

logger = structlog.get_logger()

_STEP_BYTES = 1 << 20
# With the index before the sound, so that one can listen while it is still being loaded.
_OPTIONS = {"movflags": "+faststart", "brand": "M4B "}
# Every packet of a part counts, also the first, which players leave out of a file that stands alone.
_ALL_PACKETS = {"ignore_editlist": "1"}
_LANGUAGES = {"zh-CN": "zho", "en": "eng"}  # ISO 639-2, as the format wants it
_AUDIOBOOK = "2"  # of the kinds that iTunes' `stik` tells


@dataclass(frozen=True)
class Mark:
    """One chapter of the book: its title, and the file of its sound."""

    title: str
    part: Path


@dataclass(frozen=True)
class Labels:
    """What players show of a book; `cover` is the file of its picture, if it has one."""

    title: str
    author: str
    language: str
    cover: Path | None = None


def join(marks: Sequence[Mark], labels: Labels, target: Path) -> Generator[int]:
    """Writes the book to `target`; yields the bytes of the parts that are done, now and then, as it goes."""
    spans = []
    for mark in marks:
        spans.append(_length(mark.part))
        yield 0
    yield from _join(marks, spans, labels, target)


def _join(marks: Sequence[Mark], spans: Sequence[tuple[int, Fraction]], labels: Labels, target: Path) -> Generator[int]:
    done = told = 0
    with ExitStack() as stack:
        book = stack.enter_context(_written(target))
        first = stack.enter_context(av.open(str(marks[0].part), options=_ALL_PACKETS))
        book.metadata.update(_tags(labels))
        stream = book.add_stream_from_template(first.streams.audio[0])
        stream.metadata["language"] = _LANGUAGES.get(labels.language, "und")
        picture = _picture(book, labels.cover, stack)
        book.set_chapters(_chapters(marks, spans))
        if picture is not None:
            book.mux(picture)
        begin = 0
        for mark, (samples, time_base) in zip(marks, spans, strict=True):
            with av.open(str(mark.part), options=_ALL_PACKETS) as part:
                at = 0
                for packet in part.demux(audio=0):
                    if packet.size == 0:
                        continue
                    done += packet.size
                    length = packet.duration or 0
                    packet.pts = packet.dts = begin + at
                    packet.time_base = time_base
                    packet.stream = stream
                    book.mux(packet)
                    at += length
                    if done >= told + _STEP_BYTES:
                        told = done
                        yield done
            begin += samples
    yield done


@contextmanager
def _written(target: Path) -> Iterator[OutputContainer]:
    """The book, whose end moves all of it once more to put the index first: not where it is given up."""
    book = av.open(str(target), "w", format="mp4", options=_OPTIONS)
    try:
        yield book
    except GeneratorExit:
        target.unlink()
        with suppress(OSError):  # there is nothing to be moved
            book.close()
        raise
    finally:
        book.close()


def seconds(parts: Sequence[Path]) -> float:
    """How long a book of these parts is."""
    return float(sum(samples * time_base for samples, time_base in map(_length, parts)))


def _length(part: Path) -> tuple[int, Fraction]:
    """How long a part is, in units of its time base: as many packets of 1024 samples as it has."""
    with av.open(str(part), options=_ALL_PACKETS) as container:
        stream = container.streams.audio[0]
        assert stream.time_base is not None
        samples = Fraction(stream.frames * 1024, stream.rate)
        return round(samples / stream.time_base), stream.time_base


def _tags(labels: Labels) -> dict[str, str]:
    named = {
        "title": labels.title,
        "album": labels.title,
        "artist": labels.author,
        "album_artist": labels.author,
        "genre": "Audiobook",
        "media_type": _AUDIOBOOK,
    }
    return {name: value for name, value in named.items() if value}


def _chapters(marks: Sequence[Mark], spans: Sequence[tuple[int, Fraction]]) -> list[av.container.core.Chapter]:
    chapters: list[av.container.core.Chapter] = []
    begin = 0
    for number, (mark, (length, time_base)) in enumerate(zip(marks, spans, strict=True)):
        chapters.append(
            {
                "id": number,
                "start": begin,
                "end": begin + length,
                "time_base": time_base,
                "metadata": {"title": mark.title},
            }
        )
        begin += length
    return chapters


def _picture(book: OutputContainer, cover: Path | None, stack: ExitStack) -> Packet[Any] | None:
    """The cover as a stream of one picture. A book does without one that cannot be read."""
    if cover is None:
        return None
    try:
        given: InputContainer = stack.enter_context(av.open(str(cover)))
        packet = next(packet for packet in given.demux(video=0) if packet.size)
        stream = book.add_stream_from_template(given.streams.video[0], opaque=True)
    except (OSError, ValueError, IndexError, StopIteration) as error:
        logger.warning("cover_left_out", error=str(error))
        return None
    stream.disposition = Disposition.attached_pic
    packet.pts = packet.dts = 0
    packet.stream = stream
    return packet
