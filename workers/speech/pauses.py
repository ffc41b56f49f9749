"""How long it is silent after a segment: by what ends there."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MARKS = r"[*＊#＃~～=_·•◇◆○●☆★※—–―-]"
_SCENE = re.compile(rf"^[^\S\n]*{_MARKS}(?:[^\S\n]*{_MARKS}){{1,}}[^\S\n]*$", re.M)
_BLANK_LINES = re.compile(r"\n[^\S\n]*\n[^\S\n]*\n")
_SENTENCE_END = re.compile(r"[。！？!?.…;；][”’」』»）)\"']*\s*$")
_HEADING_MARK = re.compile(r"^[^\S\n]*#{1,6}[^\S\n]+", re.M)
_HEADING = re.compile(
    r"\s*(?:#{1,6}\s+\S.*|第[0-9０-９零〇一二三四五六七八九十百千两]+[章节回卷部篇集].*"
    r"|(?:chapter|part|book|section)\s+[\w]+\b.*)\s*",
    re.I,
)
_MAX_HEADING = 80  # characters


@dataclass(frozen=True)
class Pauses:
    """Seconds of silence after a clause that had to be cut, a sentence, a paragraph, a heading, and a scene."""

    clause: float = 0.12
    sentence: float = 0.4
    paragraph: float = 0.8
    heading: float = 1.2
    scene: float = 2.0

    def after(self, segment: str, *, title: str = "") -> float:
        """The pause after `segment`, which has the white space after it; one that says `title` is a heading."""
        trailing = segment[len(segment.rstrip()) :]
        if is_scene_break(segment):
            return self.scene
        if "\n" in trailing or not segment.strip():
            return self.heading if is_heading(segment, title) else self.paragraph
        return self.sentence if _SENTENCE_END.search(segment) else self.clause


def is_scene_break(segment: str) -> bool:
    """Whether a scene ends with `segment`: by a line of stars or dashes, or by two blank lines."""
    return bool(_SCENE.search(segment) or _BLANK_LINES.search(segment[len(segment.rstrip()) :]))


def is_heading(segment: str, title: str = "") -> bool:
    """Whether `segment` is a heading by its form, or says `title`."""
    text = segment.strip()
    if title and text == title:
        return True
    return len(text) <= _MAX_HEADING and "\n" not in text and bool(_HEADING.fullmatch(text))


def without_marks(segment: str) -> str:
    """`segment` without what only shows: lines between scenes, and the marks before a heading."""
    return _HEADING_MARK.sub("", _SCENE.sub("", segment)).strip()
