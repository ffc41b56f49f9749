"""The bare cost of narration: the voice and the encoder that SmartVoice uses, in a loop, on one core.

`python -m bench.peers.voice_loop TEXTS OF NUMBER` reads each OF-th text and prints what it took as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import espeakng_loader

from workers.audio.encode import SoundWriter, Tags
from workers.audio.pcm import Pcm
from workers.speech.segments import segments
from workers.voice.espeak_library import open_speaker

_VOICE = "en-us"
_MAX_CHARACTERS = 1800


class _Voice:
    """eSpeak NG in this very process."""

    def __init__(self) -> None:
        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        self._speaker = open_speaker({"library": library, "data": data, "atOnce": 1})

    async def speak(self, text: str) -> Pcm:
        sound = bytearray()
        rate = await asyncio.to_thread(self._speaker.speak, text, _VOICE, 1.0, sound.extend)
        return Pcm(bytes(sound), rate)


async def main(texts: list[str]) -> dict[str, float]:
    """Speaks the texts, each into a file of its own."""
    engine = _Voice()
    pieces = [segments(text, "en", _MAX_CHARACTERS) for text in texts]
    await engine.speak("ready")
    began, cpu, sound = time.monotonic(), time.process_time(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number, some in enumerate(pieces):
            first = await engine.speak(some[0])
            with SoundWriter(Path(folder, f"{number}.mp3"), first.sample_rate, Tags()) as writer:
                writer.write(first)
                for piece in some[1:]:
                    writer.write(await engine.speak(piece))
            sound += writer.seconds
    return {"began": began, "ended": time.monotonic(), "sound": sound, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    path, of, which = sys.argv[1:]
    print(json.dumps(asyncio.run(main(json.loads(Path(path).read_text())[int(which) :: int(of)]))))
