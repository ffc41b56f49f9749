"""Any other format to Markdown, by pandoc: in its sandbox, and within bounds."""

from __future__ import annotations

import asyncio
import codecs
import re
from pathlib import Path

import pypandoc

from app.core.archive import NEEDED, Bounds
from app.core.errors import JobError, Problem
from app.core.markup import HEAD_BYTES, check_prolog
from app.core.text import beginning, encoding_of
from workers.manuscript.archive import copy_safely
from workers.manuscript.program import Program, run

TIMEOUT = 60.0  # seconds
LARGEST_OUTPUT = 64 * 1024 * 1024  # bytes
BOUNDS = Bounds(entries=10_000, inflated=200 * 1024 * 1024)
_HEAP = "512M"
# GHC's runtime takes hold of far more addresses than memory, but heeds a bound.
_ADDRESSES = 2 * 1024**3
_HEAP_EXHAUSTED = 251  # the exit status of GHC's runtime
# Without these a footnote, a formula or a drawing comes as markup that would be read aloud.
_TARGET = "gfm-raw_html-footnotes-tex_math_dollars-tex_math_gfm-task_lists-emoji-alerts"
_MARKUP = ("html", "fb2")
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9._-]+)", re.IGNORECASE)
_CHARSET_WITHIN = 2048  # bytes
# Python knows "encodings" that are none, and some in which reading takes time without end.
_ENCODINGS = re.compile(r"utf-(?:8|16|32).*|gb.*|big5.*|cp\d+|iso8859-.*|koi8-.*|shift_jis.*|euc_.*|ascii|hz")
_CHUNK = 1024 * 1024


async def to_markdown(
    source: Path,
    target: Path,
    format: str,
    *,
    timeout: float = TIMEOUT,
    largest_output: int = LARGEST_OUTPUT,
    bounds: Bounds = BOUNDS,
) -> None:
    """Writes the Markdown that pandoc makes of the file `source` of `format` (a name in `app.core.formats.FORMATS`) to
    `target`, in whose folder nothing else should be.

    Raises JobError: `conversion_failed`, `conversion_timeout`, `conversion_too_large` (see
    `workers.manuscript.program`), and what is wrong with an archive or with markup (see `app.core.archive` and
    `app.core.markup`).
    """
    safe = target.with_name(f"manuscript.{format}")
    try:
        await asyncio.to_thread(make_safe, source, safe, format, bounds)
    except Problem as problem:
        raise JobError(problem.code, problem.detail) from problem
    program = Program(_command(safe.name, format), timeout, _ADDRESSES, largest_output, _HEAP_EXHAUSTED)
    await run(program, target.parent, target)


def _command(name: str, format: str) -> list[str]:
    limits = ["+RTS", f"-M{_HEAP}", "-RTS"]
    options = ["--sandbox", "--wrap=none", "--markdown-headings=atx", "--from", format, "--to", _TARGET]
    return [pypandoc.get_pandoc_path(), *limits, *options, name]


def make_safe(source: Path, safe: Path, format: str, bounds: Bounds) -> None:
    """Writes to `safe` what pandoc may read of `source`. Raises Problem."""
    if format in NEEDED:
        copy_safely(source, safe, format, bounds)
    elif format in _MARKUP:
        _copy_in_utf8(source, safe)
        with safe.open("rb") as file:
            head = file.read(HEAD_BYTES)
        check_prolog(head, whole=len(head) < HEAD_BYTES)
    else:
        safe.symlink_to(source.resolve())


def _copy_in_utf8(source: Path, target: Path) -> None:
    """Markup in UTF-8, the only encoding pandoc reads: by the encoding it declares, else by what fits it best."""
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        _recode(source, target, _declared(head), "strict")
    except UnicodeError:
        beginning(head, whole=False)
        _recode(source, target, encoding_of(head), "replace")


def _declared(head: bytes) -> str:
    match = _CHARSET.search(head[:_CHARSET_WITHIN])
    try:
        name = codecs.lookup(match[1].decode()).name if match else "utf-8"
    except LookupError:
        name = ""
    return name if _ENCODINGS.fullmatch(name) else "utf-8"


def _recode(source: Path, target: Path, encoding: str, errors: str) -> None:
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with source.open("rb") as file, target.open("wb") as copy:
        first = True
        while packed := file.read(_CHUNK):
            text = decoder.decode(packed)
            if first:
                text = _XML_DECLARATION.sub("", text.lstrip("\ufeff"), count=1)
                first = False
            copy.write(text.encode("utf-8", errors="replace"))
        copy.write(decoder.decode(b"", final=True).encode("utf-8", errors="replace"))
