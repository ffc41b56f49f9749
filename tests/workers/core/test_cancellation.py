"""What is cancelled computes no more: whichever step of a job it was in, no thread of it is left."""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import wave
import zipfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.manuscripts.archive import Bounds
from tests import harmful_files
from tests.support import until
from workers.audio.encode import Encoding, Tags
from workers.audio.leveller import Level, Piece
from workers.audio.pcm import Pcm
from workers.audio.recording import Recording
from workers.book import aac_part, m4b
from workers.core.blocking import in_thread, in_threads
from workers.manuscript.safe_copy import copy_for_reading
from workers.speech.completeness import Take, report_of
from workers.speech.script import Script, utterances

_RATE = 24_000
_BOUNDS = Bounds(10_000, 2**34)
_WORKERS = str(Path(__file__).parents[3] / "workers")

Step = Callable[[Path], Coroutine[Any, Any, Any]]


def working() -> list[str]:
    """The functions of the workers' code that threads, this one apart, are in."""
    frames = {id: frame for id, frame in sys._current_frames().items() if id != threading.get_ident()}
    found = []
    for frame in frames.values():
        at: Any = frame
        while at is not None:
            if at.f_code.co_filename.startswith(_WORKERS):
                found.append(at.f_code.co_name)
            at = at.f_back
    return found


class _Engine:
    name, fingerprint, max_characters, at_once, wants_words = "some", "1", 1800, 1, True

    def voice_for(self, language: str, wanted: str | None) -> str:
        return "some"


async def prepare(folder: Path) -> None:
    text = "On 3 May 1999 at 5:30 it cost $1.50. " * 50_000
    script = Script(text, "Title", "Album", "Artist", 1, 1, "en", None)
    await in_thread(lambda check: utterances(script, _Engine(), check))  # type: ignore[arg-type] # as much as is asked


async def level_and_encode(folder: Path) -> None:
    loud = np.random.default_rng(1).integers(-9000, 9000, _RATE * 50).astype("<i2").tobytes()
    async with Recording(folder / "a.mp3", Tags(), Encoding(), Level()) as recording:
        for _ in range(1000):
            await recording.add(Piece(Pcm(loud, _RATE), 0.5))


async def one_long_piece(folder: Path) -> None:
    async with Recording(folder / "a.mp3", Tags(), Encoding(), Level()) as recording:
        for _ in range(2):
            await recording.add(Piece(Pcm(bytes(_RATE * 2 * 300), _RATE), 0.5))


async def report(folder: Path) -> None:
    takes = [Take(0, 9, "Some words.", "Some words of a text. " * 9, "n", 1.0, False, False) for _ in range(100_000)]
    await in_thread(lambda check: report_of(takes, check))


async def unpack(folder: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, content in harmful_files.epub().items():
            archive.writestr(name, content)
        some = np.random.default_rng(1).integers(0, 64, 4_000_000, np.uint8).tobytes()
        for number in range(30):
            archive.writestr(f"{number}.xhtml", some)
    (folder / "book.epub").write_bytes(packed.getvalue())
    await copy_for_reading(folder / "book.epub", folder / "out", "epub", bounds=_BOUNDS)


def _noise(path: Path, seconds: int) -> Path:
    """A WAV file that no encoder makes small."""
    second = np.random.default_rng(1).integers(-9000, 9000, _RATE).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, _RATE, 0, "NONE", ""))
        file.writeframes(second * seconds)
    return path


async def encode_part(folder: Path) -> None:
    source = _noise(folder / "a.wav", 1200)
    async for _ in in_threads(aac_part.encode(source, folder / "a.m4a")):
        pass


def _marks(folder: Path, count: int) -> list[m4b.Mark]:
    for _ in aac_part.encode(_noise(folder / "a.wav", 20), folder / "a.m4a"):
        pass
    return [m4b.Mark(f"Chapter {number}", folder / "a.m4a") for number in range(count)]


async def join_book(folder: Path) -> None:
    marks, labels = await asyncio.to_thread(_marks, folder, 2000), m4b.Labels("Book", "Somebody", "en")
    async for _ in in_threads(m4b.join(marks, labels, folder / "book.m4b")):
        pass


@pytest.mark.parametrize(
    ("step", "where"),
    [
        (prepare, "utterances"),
        (level_and_encode, "_write"),
        (one_long_piece, "_encode"),
        (report, "report_of"),
        (unpack, "copy_safely"),
        (encode_part, "encode"),
        (join_book, "_join"),
    ],
)
async def test_step_that_is_cancelled_computes_no_more(tmp_path: Path, step: Step, where: str) -> None:
    task = asyncio.create_task(step(tmp_path))

    def within() -> bool:
        assert not task.done(), "it was to be in the middle"
        return where in working()

    await until(within, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert working() == []


def test_book_that_is_given_up_is_not_moved_once_more(tmp_path: Path) -> None:
    joining = m4b.join(_marks(tmp_path, 60), m4b.Labels("Book", "", "en"), tmp_path / "book.m4b")
    while not next(joining):
        pass
    assert (tmp_path / "book.m4b").exists()
    joining.close()
    assert not (tmp_path / "book.m4b").exists()
