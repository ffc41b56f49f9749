"""Which lines of a plain text are the headings of chapters."""

from __future__ import annotations

import re

LONGEST_HEADING = 80  # characters; a longer line is a sentence

_ZH_NUMBER = r"[0-9０-９〇零一二三四五六七八九十百千万兩两廿卅壹贰叁肆伍陆柒捌玖拾]+"
_ZH_GAP = r"[\s:：、.．·—–-]"
_ZH_CHAPTER = re.compile(
    rf"(?:正文\s+)?第\s*{_ZH_NUMBER}\s*"
    # 第一节课 and 第二部分 begin sentences: these need a gap before the title. 第一章少年 is a heading all the same.
    rf"(?:[章回卷](?:\s*$|{_ZH_GAP}+\S.*$|[^节合的里中是和与，,].{{0,19}}$)|[节節部集篇幕](?:\s*$|{_ZH_GAP}+\S.*$))"
)
_ZH_NAMED = re.compile(
    r"(?:序章|序言|楔子|前言|引子|尾声|尾聲|后记|後記|终章|終章|番外)"
    rf"(?:\s*$|{_ZH_GAP}+\S.*$|{_ZH_NUMBER}(?:\s*$|{_ZH_GAP}+\S.*$))"
)
_ZH_VOLUME = re.compile(rf"第\s*{_ZH_NUMBER}\s*[卷部篇集]")

_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ONES = "one|two|three|four|five|six|seven|eight|nine"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_EN_NUMBER = rf"(?:\d+|[IVXLCDM]+|(?i:(?:{_TENS})(?:[ -](?:{_ONES}))?|{_TEENS}|{_ONES}))"
# After a mark any title may follow; after a mere space only one that begins like a title.
_EN_TITLE = r"(?:\s*[.:—–-]\s*\S.*|\s+[A-Z0-9\"'“‘(].*|\s*[.:]?\s*)$"
_EN_CHAPTER = re.compile(rf"(?:Chapter|CHAPTER|Part|PART|Book|BOOK|Volume|VOLUME)\s+{_EN_NUMBER}\b{_EN_TITLE}")
_EN_NAMED = re.compile(
    r"(?:Prologue|Epilogue|Introduction|Preface|Foreword|Afterword"
    r"|PROLOGUE|EPILOGUE|INTRODUCTION|PREFACE|FOREWORD|AFTERWORD)\s*(?:[:—–-]\s*\S.*|[.:]?)$"
)
_EN_VOLUME = re.compile(rf"(?i:part|book|volume)\s+{_EN_NUMBER}\b")
_EN_BARE = re.compile(rf"\w+(?:\s+{_EN_NUMBER})?\s*\.$")

_CONTENTS = re.compile(r"(?:目\s*[录錄]|(?i:(?:table of )?contents))[:：]?$")
# A title may ask or exclaim; it does not end like a statement.
_STATEMENT_ENDS = tuple("。，；;,.")


def is_heading(line: str) -> bool:
    """Whether `line`, standing on its own, is the heading of a chapter, a volume or a list of contents.

    A line that is long, or ends like a statement, is a sentence that only begins like a heading.
    """
    line = line.strip()
    if not line or len(line) > LONGEST_HEADING:
        return False
    if line.endswith(_STATEMENT_ENDS) and not (_EN_BARE.match(line) or line.endswith("...")):
        return False
    patterns = (_ZH_CHAPTER, _ZH_NAMED, _EN_CHAPTER, _EN_NAMED, _CONTENTS)
    return any(pattern.match(line) for pattern in patterns)


def is_volume(title: str) -> bool:
    """Whether `title` is that of a part of the book that itself has chapters."""
    title = title.strip()
    return bool(_ZH_VOLUME.match(title) or _EN_VOLUME.match(title))


def is_contents(title: str) -> bool:
    """Whether `title` announces a list of contents."""
    return bool(_CONTENTS.match(title.strip()))
