"""A manuscript in any other format than plain text or Markdown made ready to be read: a copy that is safe to read."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from app.core.errors import JobError, Problem
from app.core.manuscripts.archive import NEEDED, Bounds
from app.core.manuscripts.markup import HEAD_BYTES, check_prolog
from workers.core.blocking import in_thread
from workers.core.cancellation import Check, unchecked
from workers.manuscript.archive import copy_safely
from workers.manuscript.encoding import copy_in_utf8

BOUNDS = Bounds(entries=10_000, inflated=200 * 1024 * 1024)
_MARKUP = ("html", "fb2")


async def copy_for_reading(source: Path, target: Path, format: str, *, bounds: Bounds = BOUNDS) -> None:
    """Writes to `target` what may be read of the file `source`; `format` is a name in `formats.FORMATS`.

    Raises JobError: what is wrong with an archive or markup (see `archive` and `markup` in `app.core.manuscripts`).
    """
    try:
        await in_thread(partial(make_safe, source, target, format, bounds))
    except Problem as problem:
        raise JobError(problem.code, problem.detail) from problem


def make_safe(source: Path, safe: Path, format: str, bounds: Bounds, check: Check = unchecked) -> None:
    """Writes to `safe` what may be read of `source`; `check` ends it in between. Raises Problem."""
    if format in NEEDED:
        copy_safely(source, safe, format, bounds, check)
    elif format in _MARKUP:
        copy_in_utf8(source, safe, check)
        with safe.open("rb") as file:
            head = file.read(HEAD_BYTES)
        check_prolog(head, whole=len(head) < HEAD_BYTES)
    else:
        shutil.copyfile(source, safe)
