"""Numbers and the like are said as people say them: 200 cases, by the phonemes that the embedded voice makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.core.vocabulary import Language
from tests.workers.speech.phonemes import phonemes
from workers.speech.normalise import chinese, roman, written_out

_HERE = Path(__file__).parent
_VOICES: dict[Language, str] = {"zh-CN": "cmn", "en": "en-us"}
_STRESS = re.compile(r"[\s_:,'%=|.!#-]+")
# It flaps the t of `20` and rounds the o of `45` a little otherwise than those of the words: nobody hears it.
_SAME = (("t2", "t"), ("o@", "O@"))


def cases(language: str) -> list[tuple[str, str]]:
    rows = (_HERE / f"normalisation_cases.{language}.tsv").read_text().splitlines()
    return [(one, other) for one, _, other in (row.partition("\t") for row in rows)]


def said(texts: list[str], language: Language) -> list[str]:
    """What the voice says of each, without stress and pauses."""
    heard = [_STRESS.sub("", one) for one in phonemes(texts, _VOICES[language])]
    for one, other in _SAME:
        heard = [text.replace(one, other) for text in heard]
    return heard


def right(language: Language, name: str, *, normalised: bool) -> list[str]:
    """The inputs that are said as expected."""
    given, expected = zip(*cases(name), strict=True)
    spoken = said([written_out(one, language) if normalised else one for one in given], language)
    wanted = said(list(expected), language)
    return [one for one, heard, right in zip(given, spoken, wanted, strict=True) if heard == right]


@pytest.mark.parametrize(("language", "name"), [("zh-CN", "zh"), ("en", "en")])
def test_all_cases_are_said_right_and_many_were_not_before(language: Language, name: str) -> None:
    given = [one for one, _ in cases(name)]
    before, after = right(language, name, normalised=False), right(language, name, normalised=True)
    print(f"{language}: {len(before)} of {len(given)} right before, {len(after)} after")
    assert len(given) >= 100
    assert [one for one in given if one not in after] == []
    assert len(before) < len(given) / 2


@pytest.mark.parametrize(
    "text",
    [
        "I am I, and you are you.",
        "Call 555-1234 or read the X-15 manual.",
        "He had 1984 sheep.",
        "Version 1.2.3 of the A4 paper.",
        "The U.S. won 3 medals.",
        "Mix it well; see you.",
        "https://example.com/2024/03/05",
        "Chapter One",
        "",
    ],
)
def test_english_that_is_not_sure_is_left_alone(text: str) -> None:
    assert written_out(text, "en") == text


@pytest.mark.parametrize("text", ["A4纸和MP3", "他来了。", "iPhone15", "第一章　少年", ""])
def test_chinese_that_needs_nothing_is_left_alone(text: str) -> None:
    assert written_out(text, "zh-CN") == text


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "零"),
        (10, "十"),
        (20, "二十"),
        (101, "一百零一"),
        (110, "一百一十"),
        (1010, "一千零一十"),
        (10_010, "一万零一十"),
        (100_000_000, "一亿"),
        (100_000_001, "一亿零一"),
        (1_0000_1000, "一亿零一千"),
        (12_3456_7890, "十二亿三千四百五十六万七千八百九十"),
    ],
)
def test_chinese_numbers(number: int, words: str) -> None:
    assert chinese.cardinal(number) == words


def test_roman_numerals() -> None:
    assert [roman.value(one) for one in ("I", "IV", "IX", "XIV", "XL", "LXXXIX", "IIII", "VX", "")] == [
        *(1, 4, 9, 14, 40, 89),
        *(None, None, None),
    ]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_writing_out_a_text_of_digits_does_not_hang(language: Language) -> None:
    for text in ("1" * 20_000, "1-" * 10_000, "1:1/1.1," * 4000, "$" * 5000):
        assert written_out(text, language)
