"""Preparing a chapter takes time by its length, whatever stands in it, and can be stopped in the middle."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from app.core.errors import JobError
from app.core.projects.models import Pronunciation
from workers.core.blocking import in_thread
from workers.core.cancellation import Check
from workers.speech import normalise
from workers.speech.dialogue import dialogue
from workers.speech.pronunciation import respelled
from workers.speech.script import Script, utterances

_CHARACTERS = 100_000
_CPU_SECONDS = 20  # the right way takes less than one; what it took before, minutes


class Engine:
    name, fingerprint, max_characters, at_once, wants_words = "some", "1", 1800, 1, True

    def voice_for(self, language: str, wanted: str | None) -> str:
        return "some"


def _script(text: str, pronunciations: tuple[Pronunciation, ...] = (), language: Any = "en") -> Script:
    return Script(text, "Title", "Album", "Artist", 1, 1, language, None, 1.0, "other", pronunciations)


@contextmanager
def bounded(seconds: float = _CPU_SECONDS) -> Iterator[None]:
    """Fails what takes so much of the processor, however busy the machine is."""

    def over(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"it took more than {seconds} s of the processor")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize(
    "unit", ["「", "“", '"a', "“1”, ", "1,", "a\n", '"\n', "。\n", "9", "1:", "$1.", "第一", "a. "]
)
def test_no_chapter_takes_long_to_prepare(unit: str) -> None:
    text = unit * (_CHARACTERS // len(unit))
    alike = tuple(Pronunciation(term="a" * 98 + chr(0x100 + number), respelling="x") for number in range(500))
    with bounded():
        found = utterances(_script(text, alike, "zh-CN" if ord(unit[0]) > 0x2000 else "en"), Engine())  # type: ignore[arg-type] # as much of an engine as is asked
    assert "".join(text[one.start : one.end] for one in found) == text


def test_respelling_that_makes_a_chapter_many_times_as_long_is_refused() -> None:
    # Nothing that comes again and again: that would be cut before it reaches a voice.
    long = (Pronunciation(term="好", respelling="".join(chr(0x5E00 + number) for number in range(200))),)
    text = "".join(f"好{chr(0x4E00 + number)}" for number in range(2000))
    with pytest.raises(JobError) as raised:
        utterances(_script(text, long, "zh-CN"), Engine())  # type: ignore[arg-type] # as above
    assert raised.value.code == "too_much_to_say"


@pytest.mark.parametrize("text", ["1:" + "9" * 5000, "9" * 30 + ":1", "$1." + "9" * 5000, "$0." + "0" * 5000])
def test_numbers_that_nobody_can_count_are_said_all_the_same(text: str) -> None:
    assert normalise.written_out(text, "zh-CN")
    assert normalise.written_out(text, "en")


def test_terms_are_found_as_a_pattern_of_all_of_them_finds_them() -> None:
    chance = random.Random(7)
    for _ in range(300):
        terms = ["".join(chance.choices("abA你 .", k=chance.randint(1, 4))) for _ in range(5)]
        some = [
            Pronunciation(term=one, respelling=f"<{n}>", match_case=chance.random() < 0.3)
            for n, one in enumerate(terms)
        ]
        text = "".join(chance.choices("abAB你 .x", k=60))
        assert respelled(text, some) == _by_pattern(text, some)


def _by_pattern(text: str, some: list[Pronunciation]) -> str:
    letter = r"[0-9A-Za-z\u00c0-\u024f]"

    def pattern(one: Pronunciation) -> str:
        before = rf"(?<!{letter})" if re.match(letter, one.term) else ""
        after = rf"(?!{letter})" if re.search(rf"{letter}$", one.term) else ""
        escaped = re.escape(one.term)
        return before + (escaped if one.match_case else f"(?i:{escaped})") + after

    ordered = sorted(some, key=lambda one: -len(one.term))
    whole = re.compile("|".join(f"({pattern(one)})" for one in ordered))
    return whole.sub(lambda match: ordered[(match.lastindex or 0) - 1].respelling, text)


def test_quotations_are_found_as_a_search_from_each_mark_finds_them() -> None:
    chance = random.Random(7)
    for _ in range(500):
        text = "".join(chance.choices('「」“”"a，。\n ', k=40))
        for start, end in dialogue(text):
            assert _searched(text, start) in {end, None}


def _searched(text: str, opened: int) -> int | None:
    closes, depth = {"“": "”", "「": "」", '"': '"'}[text[opened]], 0
    end = text.find("\n", opened)
    for at in range(opened, len(text) if end < 0 else end):
        if text[at] == closes and at > opened:
            depth -= 1
            if depth == 0 or closes == text[opened]:
                return at + 1
        elif text[at] == text[opened]:
            depth += 1
    return None


async def test_preparing_that_is_cancelled_has_stopped_when_its_caller_goes_on() -> None:
    began, checked = threading.Event(), 0

    def work(check: Check) -> None:
        nonlocal checked
        began.set()
        while True:
            check()
            checked += 1

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    before = checked
    await asyncio.sleep(0)
    assert checked == before


async def test_chapter_in_preparation_is_stopped_between_any_two_of_its_segments() -> None:
    stopped_at = 0

    def check() -> None:
        nonlocal stopped_at
        stopped_at += 1
        if stopped_at == 5:
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        utterances(_script("A sentence of its own.\n\n" * 1000), Engine(), check)  # type: ignore[arg-type] # as above
    assert stopped_at == 5
