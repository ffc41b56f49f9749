"""Whether one user alone has all places: `smartvoice narrate` with a slow voice service.

Chapters of one segment, for each of which the service takes a second; and how many of the places were used.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.stack import environment
from tests.tts_server import TtsServer
from tests.tts_ways import Call, Line, good

_WORKERS, _PLACES_EACH = 4, 2
_CHAPTERS = 64
_SECONDS = 1.0
_MIN_USED = 0.75


async def row() -> bool:
    """Prints how many calls went on at once, and how many of the places were used; whether that is enough."""
    async with TtsServer() as tts:
        first = last = 0.0

        async def slow(call: Call, line: Line) -> None:
            nonlocal first, last
            first = first or time.perf_counter()
            await asyncio.sleep(_SECONDS)
            await good(call, line)
            last = time.perf_counter()

        tts.misbehave_always(slow)
        status = await _narrate(tts.url)
        places = _WORKERS * _PLACES_EACH
        used = tts.requests * _SECONDS / (last - first)
        print(f"{_CHAPTERS} chapters by `narrate`, {_WORKERS} workers of {_PLACES_EACH} places, {_SECONDS:g} s a call:")
        print(f"  {last - first:.1f} s, at most {tts.most_at_once} calls at once, {used:.1f} on average")
        met = status == 0 and used >= _MIN_USED * places
        print(f"  bar: {_MIN_USED:.0%} of {places} places used: {'met' if met else 'NOT MET'}")
        return met


async def _narrate(tts: str) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = (f"Chapter {n}\n\nChapter {n}: the lamp burned all night long." for n in range(1, _CHAPTERS + 1))
        (folder / "book.txt").write_text("\n\n".join(lines))
        settings = {
            "SMARTVOICE_WORKER_PROCESSES": str(_WORKERS),
            "SMARTVOICE_WORKER_CONCURRENCY": str(_PLACES_EACH),
            "SMARTVOICE_TTS_ENGINE": "openai",
            "SMARTVOICE_TTS_URL": tts,
            "SMARTVOICE_TTS_CONCURRENCY": str(_PLACES_EACH),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        root = os.environ.get("PYTHONPATH") or str(Path(__file__).parents[1])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", "narrate", "book.txt", "--json"),
            cwd=folder,
            env=environment(settings) | {"PYTHONPATH": root},
            stdout=asyncio.subprocess.DEVNULL,
        )
        return await process.wait()
