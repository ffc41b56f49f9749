"""Which lines of `static/js` the browser runs, as Chromium counts them.

Chromium forgets a page's counts when the page is left for another, so they are taken twice a second, and at the end of
the test: what is told is at least what ran.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import CDPSession, Error, Page

PROPERTY = "covered"
_ROOT = Path(__file__).parents[2]
_SCRIPTS = "static/js/"
_TAKEN_EVERY_SECONDS = 0.5
_NO_CODE = ("//", "/*", "*")

Lines = dict[str, list[int]]
"""Numbers of lines, from 0, by the path of their file."""


class Coverage:
    """Counts in every page that it is given."""

    def __init__(self) -> None:
        self._sessions: list[CDPSession] = []
        self._lines: dict[str, set[int]] = defaultdict(set)

    async def follow(self, page: Page) -> None:
        session = await page.context.new_cdp_session(page)
        await session.send("Profiler.enable")
        await session.send("Profiler.startPreciseCoverage", {"callCount": False, "detailed": True})
        self._sessions.append(session)

    async def keep_taking(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(_TAKEN_EVERY_SECONDS)
            await self._take_all()

    async def taken(self) -> Lines:
        """The lines that have run in any of the pages."""
        await self._take_all()
        return {path: sorted(found) for path, found in self._lines.items()}

    async def _take_all(self) -> None:
        for session in list(self._sessions):
            await self._take(session)

    async def _take(self, session: CDPSession) -> None:
        for script in await _scripts(session):
            path = urlsplit(script["url"]).path.lstrip("/")
            if path.startswith(_SCRIPTS) and (_ROOT / path).is_file():
                self._lines[path] |= _ran(path, script["functions"])


async def _scripts(session: CDPSession) -> list[dict[str, Any]]:
    try:
        return list((await session.send("Profiler.takePreciseCoverage"))["result"])
    except Error:
        return []  # the test has closed the page


def _ran(path: str, functions: list[dict[str, Any]]) -> set[int]:
    """A range says whether it ran, and ranges within it where that was otherwise."""
    text = (_ROOT / path).read_text()
    ran = bytearray(len(text))
    ranges = [one for function in functions for one in function["ranges"]]
    for one in sorted(ranges, key=lambda one: (one["startOffset"], -one["endOffset"])):
        start, end = one["startOffset"], min(one["endOffset"], len(text))
        ran[start:end] = bytes([one["count"] > 0]) * (end - start)
    return {number for number, (start, end) in _code(path).items() if any(ran[start:end])}


@cache
def _code(path: str) -> dict[int, tuple[int, int]]:
    """Where the lines with code begin and end."""
    found, start = {}, 0
    for number, line in enumerate((_ROOT / path).read_text().splitlines(keepends=True)):
        code = line.strip()
        begin = start + len(line) - len(line.lstrip())
        if code and not code.startswith(_NO_CODE):
            found[number] = (begin, begin + len(code))
        start += len(line)
    return found


def table(taken: Iterable[Lines]) -> list[str]:
    """A row for each file, those that no test has loaded too, and one for all; none where nothing was taken."""
    ran: dict[str, set[int]] = defaultdict(set)
    for lines in taken:
        for path, numbers in lines.items():
            ran[path].update(numbers)
    if not ran:
        return []
    paths = sorted(str(path.relative_to(_ROOT)) for path in (_ROOT / _SCRIPTS).rglob("*.js"))
    counts = {path: (len(ran[path] & _code(path).keys()), len(_code(path))) for path in paths}
    counts["all"] = (sum(hit for hit, _ in counts.values()), sum(whole for _, whole in counts.values()))
    return [f"{path:<44} {100 * hit / whole:5.1f} %  {hit} of {whole}" for path, (hit, whole) in counts.items()]
