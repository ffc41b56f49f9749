"""A manuscript in any other format than plain text or Markdown made ready to be read: a safe copy, and HTML of it.

HTML and EPUB are read as they are; everything else pandoc makes HTML of, in its sandbox and within bounds.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from app.core.archive import NEEDED, Bounds
from app.core.errors import JobError, Problem
from app.core.markup import HEAD_BYTES, check_prolog
from workers.check import Check, unchecked
from workers.manuscript import pandoc
from workers.manuscript.archive import copy_safely
from workers.manuscript.encoding import copy_in_utf8
from workers.manuscript.program import Program, run
from workers.manuscript.richtext import mended
from workers.sandbox.limits import Access, Limits
from workers.steps import in_thread

TIMEOUT = 60.0  # seconds
LARGEST_OUTPUT = 64 * 1024 * 1024  # bytes
BOUNDS = Bounds(entries=10_000, inflated=200 * 1024 * 1024)
_HEAP = "512M"
# GHC's runtime takes hold of far more addresses than memory, but heeds a bound.
_ADDRESSES = 2 * 1024**3
_HEAP_EXHAUSTED = 251  # the exit status of GHC's runtime
_READ_AS_THEY_ARE = ("epub", "html")
_NAME = "manuscript"
_MARKUP = ("html", "fb2")


async def to_markup(
    source: Path,
    target: Path,
    format: str,
    *,
    timeout: float = TIMEOUT,
    largest_output: int = LARGEST_OUTPUT,
    bounds: Bounds = BOUNDS,
) -> None:
    """Writes what is to be read of the file `source` of `format` (a name in `app.core.formats.FORMATS`) to `target`,
    in whose folder nothing else should be: for EPUB an archive, else HTML. The safe copy lies beside it (`safe_copy`).

    Raises JobError: `conversion_failed`, `conversion_timeout`, `conversion_too_large` (see
    `workers.manuscript.program`), and what is wrong with an archive or with markup (see `app.core.archive` and
    `app.core.markup`).
    """
    safe = safe_copy(target, format)
    try:
        await in_thread(partial(make_safe, source, safe, format, bounds))
    except Problem as problem:
        raise JobError(problem.code, problem.detail) from problem
    if format in _READ_AS_THEY_ARE:
        safe.rename(target)
        return
    limits = Limits(_ADDRESSES, cpu_seconds=int(timeout) + 1, output=largest_output, exhausted=[_HEAP_EXHAUSTED])
    access = Access(read=[target.parent])
    await run(Program(_command(safe.name, format), timeout, limits, access), target.parent, target)


def safe_copy(target: Path, format: str) -> Path:
    """Where `to_markup` leaves the copy that pandoc read."""
    return target.with_name(f"{_NAME}.{format}")


def _command(name: str, format: str) -> list[str]:
    limits = ["+RTS", f"-M{_HEAP}", "-RTS"]
    options = ["--sandbox", "--standalone", "--wrap=none", "--from", format, "--to", "html5"]
    return [pandoc.path(), *limits, *options, name]


def make_safe(source: Path, safe: Path, format: str, bounds: Bounds, check: Check = unchecked) -> None:
    """Writes to `safe` what pandoc may read of `source`; `check` ends it in between. Raises Problem."""
    if format in NEEDED:
        copy_safely(source, safe, format, bounds, check)
    elif format in _MARKUP:
        copy_in_utf8(source, safe, check)
        with safe.open("rb") as file:
            head = file.read(HEAD_BYTES)
        check_prolog(head, whole=len(head) < HEAD_BYTES)
    elif format == "rtf":
        safe.write_bytes(mended(source.read_bytes(), check))
    else:
        shutil.copyfile(source, safe)
