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

from workers.audio.encode import SoundWriter, Tags
from workers.speech.espeak import Espeak
from workers.speech.segments import segments


async def main(texts: list[str]) -> dict[str, float]:
    """Speaks the texts, each into a file of its own."""
    engine = Espeak()
    voice = engine.voice_for("en", None)
    pieces = [segments(text, "en", engine.max_characters) for text in texts]
    await engine.speak("ready", voice)
    began, cpu, sound = time.monotonic(), time.process_time(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for number, some in enumerate(pieces):
            first = await engine.speak(some[0], voice)
            with SoundWriter(Path(folder, f"{number}.mp3"), first.sample_rate, Tags()) as writer:
                writer.write(first)
                for piece in some[1:]:
                    writer.write(await engine.speak(piece, voice))
            sound += writer.seconds
    return {"began": began, "ended": time.monotonic(), "sound": sound, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    path, of, which = sys.argv[1:]
    print(json.dumps(asyncio.run(main(json.loads(Path(path).read_text())[int(which) :: int(of)]))))
