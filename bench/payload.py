"""The one event that every server delivers: a real progress event, with a number and a time that the load reads back.

Number and time have a fixed width, so that an event of any wire format is a template with holes.
"""

from __future__ import annotations

import json
import re
import time

FIRST = 1_000_001
"""The number of each reader's first event; those after it count up."""
NUMBER = "7777777"
"""Where a template has the number."""
MARK = b'"n":"'
SIZE = len(MARK) + 7 + len(b'","t":"') + 16
_TIME = "5555555555555555"


def microseconds() -> int:
    """The load generator's clock."""
    return time.perf_counter_ns() // 1000


def fields(number: int | None = None, at: int | None = None) -> dict[str, object]:
    """The event as it stands in JSON; without a number and a time it is the template of one."""
    return {
        "projectId": "3f9c1e7a5b2d4c6e8f01",
        "jobId": "a7d3e95c1b4f6a8d2e30",
        "at": "2026-01-01T00:00:00.000Z",
        "attempt": 1,
        "chapterId": "5e8b7d1c3a9f2e4b6d08",
        "n": NUMBER if number is None else f"{number:07d}",
        "t": _TIME if at is None else f"{at:016d}",
        "progress": {
            "percentage": 42,
            "message": "正在调用 TTS 服务",
            "currentStep": "音频合成",
            "step": 2,
            "totalSteps": 3,
            "stage": "synthesis",
            "unitsDone": 7,
            "unitsTotal": 35,
            "etaSeconds": 12,
        },
    }


def text(number: int | None = None, at: int | None = None) -> str:
    """The event's JSON."""
    return json.dumps(fields(number, at), ensure_ascii=False, separators=(",", ":"))


class Template:
    """Bytes with an event in them, to be filled in again and again: joined of pieces, which costs the least."""

    def __init__(self, made: bytes) -> None:
        self._pieces = re.split(b"(%b|%b)" % (NUMBER.encode(), _TIME.encode()), made)
        self._numbers, self._times = (
            [at for at, piece in enumerate(self._pieces) if piece == hole.encode()] for hole in (NUMBER, _TIME)
        )

    def filled(self, number: int, at: int) -> bytes:
        """The bytes with this number and time."""
        pieces, digits, clock = self._pieces, b"%07d" % number, b"%016d" % at
        for hole in self._numbers:
            pieces[hole] = digits
        for hole in self._times:
            pieces[hole] = clock
        return b"".join(pieces)


def read(data: bytes, mark: int) -> tuple[int, int]:
    """Number and time of the event whose mark stands at `mark`."""
    start = mark + len(MARK)
    return int(data[start : start + 7]), int(data[start + 14 : start + 30])
