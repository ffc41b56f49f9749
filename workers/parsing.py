"""Parsing: the file of a manuscript in, its chapters out."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from app.core.archive import Bounds
from app.core.errors import JobError
from app.core.messages import Language
from workers.manuscript import splitter
from workers.manuscript.convert import BOUNDS, to_markdown
from workers.manuscript.model import Chapter, Manuscript
from workers.manuscript.program import Program, run
from workers.report import Report

__all__ = ["Chapter", "Manuscript", "parse"]

MAX_CHAPTERS = 2000
MAX_CHARACTERS = 5_000_000
TIMEOUT = 60.0  # seconds, for the splitting alone
_ADDRESSES = 768 * 1024 * 1024
_LARGEST_OUTPUT = 128 * 1024 * 1024
_PACKAGES = Path(__file__).parents[1]
_UNTITLED: dict[Language, str] = {"zh-CN": "未命名", "en": "Untitled"}


async def parse(
    source: Path,
    format: str,
    title: str,
    language: Language,
    report: Report,
    *,
    max_chapters: int = MAX_CHAPTERS,
    max_characters: int = MAX_CHARACTERS,
    bounds: Bounds = BOUNDS,
    timeout: float = TIMEOUT,
) -> Manuscript:
    """The manuscript in the file `source` of `format` (a name in `app.core.formats.FORMATS`).

    `title` is for a book that does not tell its own, and for chapters without one; empty, the `language` has a word
    for it. Reports the stages `read`, `convert` and `split`. Raises JobError: the codes of
    `workers.manuscript.convert`, `workers.manuscript.program` and `app.core.text`, `too_many_chapters`,
    `too_many_characters`.
    """
    await report("read", 0, 0)
    with tempfile.TemporaryDirectory(prefix="smartvoice-") as folder:
        text = source
        await report("convert", 0, 0)
        if format not in ("txt", "md"):
            text = Path(folder, "text")
            await to_markdown(source, text, format, bounds=bounds)
        await report("split", 0, 0)
        order = splitter.Order(
            format=format,
            title=title.strip() or _UNTITLED[language],
            max_chapters=max_chapters,
            max_characters=max_characters,
        )
        return await _split(text, order, Path(folder), timeout)


async def _split(text: Path, order: splitter.Order, folder: Path, timeout: float) -> Manuscript:
    asked, output = folder / "order.json", folder / "chapters.json"
    asked.write_text(json.dumps(order))
    program = Program(
        [sys.executable, "-m", splitter.__name__, str(text), str(asked)],
        timeout,
        _ADDRESSES,
        _LARGEST_OUTPUT,
        splitter.OUT_OF_MEMORY,
        {"PYTHONPATH": str(_PACKAGES), "PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"},
    )
    await run(program, folder, output)
    found = json.loads(output.read_bytes())
    if "code" in found:
        raise JobError(found["code"], found["message"])
    return Manuscript(found["title"], [Chapter(*chapter) for chapter in found["chapters"]])
