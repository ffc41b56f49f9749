"""Words that everything shares: languages, queues, kinds of books."""

from __future__ import annotations

from typing import Literal

Language = Literal["zh-CN", "en"]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
Queue = Literal["text-parsing", "audio-generation", "book-assembly"]
PARSING: Queue = "text-parsing"
NARRATION: Queue = "audio-generation"
ASSEMBLY: Queue = "book-assembly"


BookFormat = Literal["m4b", "zip"]
VOICE_ID = r"[A-Za-z0-9._/+-]+"
"""What the id of a voice looks like; 100 characters at most."""
MANUSCRIPT = "manuscript"
"""What a parse job makes, where a narration names its chapter."""
BOOK = "book"
"""What an assembly makes."""
