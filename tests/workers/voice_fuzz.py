"""Texts that nobody would write, spoken by the voices of the embedded engine: `python -m tests.workers.voice_fuzz 99`.

Prints how often a voice process ended, and what came of the texts. A text goes the way of a chapter's: it is cut into
segments, of which three at most are spoken of each text. That this process goes on is the finding: it is the worker.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable

from app.core.errors import JobError
from app.core.settings import Settings
from workers.engines.registry import engine_of
from workers.speech.engine import Engine
from workers.speech.repeated_runs import shortened
from workers.speech.segments import segments, speakable

MAX_CHARACTERS = 100_000
_SEGMENTS = 3
_USUAL = ("en-us", "cmn", "de", "fr", "es", "ru")
_AT_ONCE = 4
# Beginnings, ends and particles of words, which voices take off before they look a word up.
_PARTICLES = "anti un re non s' 'll n't 's ing ed ly est in de pre inter Z. A. e.g. Mr. Dr. ' - .-' ße zu ge l' d' qu'"
_AFFIXES = _PARTICLES.split()
_MARKS = "'’`´\"“”«».,;:!?¿¡…-–—_/\\|*&%$#@^~+=<>()[]{}§°·•†‡¶©®™\u0301\u0327\u0489\u200b\u200d\u202e\ufeff\0\t\n"
_SENTENCE = "the sea was calm and no wind rose 大海 很 平静 ветер поднялся über Straße café 12 3.14 2024-03-15"
_WORDS = _SENTENCE.split()
# First characters of Unicode's blocks that have letters: each script comes up as often as any other.
_SCRIPTS = [*range(0x40, 0xD800, 0x40), *range(0xE000, 0x1FA00, 0x40)]
_BLOCKS = [start for start in _SCRIPTS if unicodedata.category(chr(start + 9))[0] in "LMNPS"]


def text_of(seed: int) -> str:
    """The text of that number; the same for ever."""
    chance = random.Random(seed)
    # Half of them as long as a segment may be, for that is what a voice gets.
    length = int(10 ** (chance.uniform(1.7, 3.3) if chance.random() < 0.5 else 5 * chance.random() ** 3))
    return chance.choice(_KINDS)(chance, length)[: min(length, MAX_CHARACTERS)]


def _repeated(chance: random.Random, length: int) -> str:
    unit = _unit(chance)
    return unit * (length // len(unit) + 1)


def _repeated_within(chance: random.Random, length: int) -> str:
    return f"{_words(chance, 30)} {_repeated(chance, length)[:length]} {_words(chance, 30)}"


def _nearly_repeated(chance: random.Random, length: int) -> str:
    units = [_unit(chance) for _ in range(chance.randint(2, 4))]
    return "".join(chance.choice(units) for _ in range(length))


def _unit(chance: random.Random) -> str:
    affix, char = chance.choice(_AFFIXES), _char(chance)
    mark = chance.choice(_MARKS)
    some = "".join(_char(chance) for _ in range(chance.randint(1, 8)))
    return chance.choice([affix, affix, char, some, affix + mark, char + mark, mark + char, f"{some} ", mark])


def _marks(chance: random.Random, length: int) -> str:
    return "".join(chance.choice(_MARKS if chance.random() < 0.6 else "abcxyzAZ019") for _ in range(length))


def _one_script(chance: random.Random, length: int) -> str:
    start = chance.choice(_BLOCKS)
    return "".join(" " if chance.random() < 0.15 else chr(start + chance.randrange(0x40)) for _ in range(length))


def _all_scripts(chance: random.Random, length: int) -> str:
    return "".join(_char(chance) for _ in range(length))


def _words(chance: random.Random, length: int) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(length // 4 + 1))


def _one_word(chance: random.Random, length: int) -> str:
    return "".join(chance.choice(_AFFIXES if chance.random() < 0.5 else "aeioubdst") for _ in range(length))


def _digits(chance: random.Random, length: int) -> str:
    return "".join(chance.choice("0123456789.,-:/ %€IVX") for _ in range(length))


def _char(chance: random.Random) -> str:
    return chr(chance.choice(_BLOCKS) + chance.randrange(0x40)) if chance.random() < 0.7 else chance.choice("aeszn")


_KINDS: list[Callable[[random.Random, int], str]] = [_repeated, _repeated, _repeated_within, _nearly_repeated]
_KINDS += [_marks, _one_script, _all_scripts, _words, _one_word, _digits]


async def spoken(engine: Engine, seed: int, *, raw: bool = False) -> str:
    """What came of the text of that number: `spoken`, or the code of the error. `raw`: runs are not cut."""
    text, chance = text_of(seed), random.Random(seed)
    voice = chance.choice([*_USUAL, *(voice.id for voice in chance.sample(engine.voices(), len(_USUAL)))])
    pieces = list(filter(speakable, segments(text, "en", engine.max_characters)))
    for piece in chance.sample(pieces, min(_SEGMENTS, len(pieces))):
        try:
            await engine.speak(piece if raw else shortened(piece), voice)
        except JobError as error:
            print(f"{error.code} by {voice} at text {seed}, {len(piece)} characters: {piece[:60]!r}", flush=True)
            return error.code
    return "spoken" if pieces else "nothing to say"


async def fuzz(engine: Engine, seeds: range, *, raw: bool = False) -> Counter[str]:
    """What came of the texts of those numbers, some at once, and how often."""
    await asyncio.to_thread(engine.voices)
    waiting, outcomes = iter(seeds), Counter[str]()

    async def some() -> None:
        for seed in waiting:
            outcomes[await spoken(engine, seed, raw=raw)] += 1
            if outcomes.total() % 1000 == 0:
                print(f"{outcomes.total()} texts: {dict(outcomes)}", flush=True)

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return outcomes


async def main(count: int, *, raw: bool) -> None:
    engine = engine_of(Settings(tts_engine="espeak"))
    began = time.monotonic()
    outcomes = await fuzz(engine, range(count), raw=raw)
    await engine.aclose()
    deaths = {ending: int(value) for ending, value in deaths_of_voices().items()}
    print(f"{count} texts in {time.monotonic() - began:.0f} s: {dict(outcomes)}")
    print(f"voice processes that ended: {deaths or 'none'}; workers that ended: none")


def deaths_of_voices() -> dict[str, float]:
    """How often voice processes of this process ended, by how."""
    from app.core.telemetry.metrics import VOICE_DEATHS

    samples = [sample for family in VOICE_DEATHS.collect() for sample in family.samples]
    return {one.labels["ending"]: one.value for one in samples if one.name.endswith("_total") and one.value}


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), raw="raw" in sys.argv))
