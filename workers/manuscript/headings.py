"""Which lines of a plain text are the headings of chapters."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from workers.manuscript.model import visible

MAX_HEADING = 80  # characters; a longer line is a sentence

_ZH_NUMBER = r"[0-9０-９〇零一二三四五六七八九十百千万兩两廿卅壹贰叁肆伍陆柒捌玖拾]+"
_ZH_GAP = r"[\s:：、.．·—–-]"
_ZH_CHAPTER = re.compile(
    rf"(?:正文\s+)?第\s*(?P<number>{_ZH_NUMBER})\s*"
    # 第一节课 and 第二部分 begin sentences: these need a gap before the title. 第一章少年 is a heading all the same.
    rf"(?P<unit>[章回卷](?:\s*$|{_ZH_GAP}+\S.*$|[^节合的里中是和与，,].{{0,19}}$)"
    rf"|[节節部集篇幕话話](?:\s*$|{_ZH_GAP}+\S.*$))"
)
_ZH_NAMED = re.compile(
    r"(?:序章|序言|自序|代序|楔子|前言|引子|引言|尾声|尾聲|后记|後記|终章|終章|番外篇?|附录|附錄|结语|結語|序$|跋$)"
    rf"(?:\s*$|{_ZH_GAP}+\S.*$|{_ZH_NUMBER}(?:\s*$|{_ZH_GAP}+\S.*$))"
)
_ZH_VOLUME = re.compile(rf"第\s*{_ZH_NUMBER}\s*[卷部篇集]")

_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_EN_NUMBER = rf"(?:\d+|[IVXLCDM]+|(?i:(?:{_TENS})(?:[ -](?:{_ONES}))?|{_TEENS}|{_ONES}))"
# After a mark any title may follow; after a mere space only one that begins like a title.
_EN_TITLE = r"(?:\s*[.:—–-]\s*\S.*|\s+[A-Z0-9\"'“‘(].*|\s*[.:]?\s*)$"
_EN_CHAPTER = re.compile(
    rf"(?P<unit>Chapter|CHAPTER|Part|PART|Book|BOOK|Volume|VOLUME)\s+(?P<number>{_EN_NUMBER})\b{_EN_TITLE}"
)
_EN_NAMED = re.compile(
    r"(?:Prologue|Epilogue|Introduction|Preface|Foreword|Afterword|Interlude"
    r"|PROLOGUE|EPILOGUE|INTRODUCTION|PREFACE|FOREWORD|AFTERWORD|INTERLUDE)\s*(?:[:—–-]\s*\S.*|[.:]?)$"
)
_EN_VOLUME = re.compile(rf"(?i:part|book|volume)\s+{_EN_NUMBER}\b")
_EN_BARE = re.compile(rf"\w+(?:\s+{_EN_NUMBER})?\s*\.$")

_CONTENTS = re.compile(r"(?:目\s*[录錄]|(?i:(?:table of )?contents))[:：]?$")
# A title may ask or exclaim; it does not end like a statement.
_STATEMENT_ENDS = tuple("。，；;,.")

# A number alone, or a number, a mark and a short title. So are the items of lists: see `numbered_run`.
_NUMBERED = {
    "arabic": re.compile(r"(\d{1,3})(?:[.)、:]?$|[.、:]\s*(?![\d,]).{1,40}$)"),
    "zh": re.compile(r"([〇零一二三四五六七八九十百]{1,5})(?:[.、:]?$|[.、:]\s*.{1,30}$)"),
    "roman": re.compile(r"([IVXLC]{1,7})\.?$"),
}
_MIN_RUN = 3
_MIN_TEXT = 40  # visible characters that a numbered section has on average

_DIGITS = {
    digit: value
    for value, digits in enumerate(["〇零", "一壹", "二两兩贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖"])
    for digit in digits
}
_UNITS = {"十": 10, "拾": 10, "廿": 20, "卅": 30, "百": 100, "千": 1000, "万": 10_000}
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_WORDS = {word: value for value, word in enumerate([*_ONES.split("|"), *_TEENS.split("|")], 1)}
_WORDS |= {word: value for value, word in zip(range(20, 100, 10), _TENS.split("|"), strict=True)}


class Ordinal(NamedTuple):
    """What a heading counts, such as `章` or `chapter`, and which one it is."""

    unit: str
    number: int


def is_heading(line: str) -> bool:
    """Whether `line`, standing on its own, is the heading of a chapter, a volume or a list of contents.

    A line that is long, or ends like a statement, is a sentence that only begins like a heading.
    """
    line = line.strip()
    if not line or len(line) > MAX_HEADING:
        return False
    if line.endswith(_STATEMENT_ENDS) and not (_EN_BARE.match(line) or line.endswith("...")):
        return False
    patterns = (_ZH_CHAPTER, _ZH_NAMED, _EN_CHAPTER, _EN_NAMED, _CONTENTS)
    return any(pattern.match(line) for pattern in patterns)


def ordinal(title: str) -> Ordinal | None:
    """What the heading `title` counts; None where it has no number."""
    match = _ZH_CHAPTER.match(title.strip()) or _EN_CHAPTER.match(title.strip())
    number = _number(match["number"]) if match else None
    if match is None or number is None:
        return None
    unit = match["unit"]
    return Ordinal(unit.lower() if unit.isascii() else unit[0], number)


def numbered_run(lines: list[str]) -> set[int]:
    """Which of `lines` are headings that are but numbers, or begin with one: 1, 2, 3 … with text under each.

    A list has such lines as well, but nothing under them. Empty where there are fewer than three.
    """
    runs = (_run(lines, pattern) for pattern in _NUMBERED.values())
    return max(runs, key=len)


def is_volume(title: str) -> bool:
    """Whether `title` is that of a part of the book that itself has chapters."""
    title = title.strip()
    return bool(_ZH_VOLUME.match(title) or _EN_VOLUME.match(title))


def is_contents(title: str) -> bool:
    """Whether `title` announces a list of contents."""
    return bool(_CONTENTS.match(title.strip()))


def _run(lines: list[str], pattern: re.Pattern[str]) -> set[int]:
    run: list[int] = []
    texts: list[int] = []
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        plain = unicodedata.normalize("NFKC", line.strip()) if len(line) <= MAX_HEADING else ""
        match = pattern.match(plain)
        if match and _number(match[1]) == len(run) + 1 and not plain.endswith(("。", "；", ";", ",", "，")):
            run.append(index)
            texts.append(0)
        elif texts:
            texts[-1] += visible(line)
    enough = len(run) >= _MIN_RUN and all(texts) and sum(texts) >= _MIN_TEXT * len(run)
    return set(run) if enough else set()


def _number(text: str) -> int | None:
    text = unicodedata.normalize("NFKC", text)
    if text.isdecimal():
        return int(text)
    if all(char in _ROMAN for char in text):
        values = [_ROMAN[char] for char in text]
        return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))
    if text.isascii():
        words = re.split(r"[ -]", text.lower())
        return sum(_WORDS[word] for word in words) if all(word in _WORDS for word in words) else None
    return _chinese(text)


def _chinese(text: str) -> int | None:
    """一百二十三 and 一二三 alike."""
    if all(char in _DIGITS for char in text):
        return int("".join(str(_DIGITS[char]) for char in text))
    total, last = 0, 0
    for char in text:
        if char in _DIGITS:
            last = _DIGITS[char]
        elif char in _UNITS:
            total += (last or 1) * _UNITS[char] if _UNITS[char] not in (20, 30) else _UNITS[char]
            last = 0
        else:
            return None
    return total + last
