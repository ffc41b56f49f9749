"""Any other format to Markdown, by pandoc: in its sandbox, with a bound on its memory, its time and its output."""

from __future__ import annotations

import asyncio
import re
import tempfile
from asyncio import StreamReader
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path

import pypandoc

from app.core.errors import JobError
from app.core.text import decode

TIMEOUT = 60.0  # seconds
LARGEST_OUTPUT = 64 * 1024 * 1024  # bytes
_HEAP = "512M"
_HEAP_EXHAUSTED = 251  # the exit status of GHC's runtime
_CHUNK = 256 * 1024
# Without these a footnote, a formula or a drawing comes as markup that would be read aloud.
_TARGET = "gfm-raw_html-footnotes-tex_math_dollars-tex_math_gfm-task_lists-emoji-alerts"
_MARKUP = ("html", "fb2")
_XML_DECLARATION = re.compile(rb"\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9._-]+)", re.IGNORECASE)
_CHARSET_WITHIN = 2048  # bytes


async def to_markdown(
    data: bytes, format: str, *, timeout: float = TIMEOUT, largest_output: int = LARGEST_OUTPUT
) -> str:
    """The Markdown that pandoc makes of `data`, a file of `format` (a name in `app.core.formats.FORMATS`).

    Raises JobError: `conversion_failed` where pandoc cannot read it, `conversion_timeout` after `timeout` seconds,
    `conversion_too_large` where the output passes `largest_output` bytes or the work pandoc's share of memory.
    """
    with tempfile.TemporaryDirectory(prefix="smartvoice-") as folder:
        source = Path(folder, f"manuscript.{format}")
        await asyncio.to_thread(_write, source, data, format)
        process = await asyncio.create_subprocess_exec(
            *_command(source, format), stdin=DEVNULL, stdout=PIPE, stderr=PIPE
        )
        try:
            async with asyncio.timeout(timeout):
                output = await _output_of(process, largest_output)
        except TimeoutError as error:
            raise JobError("conversion_timeout", f"The file took more than {timeout:g} s to convert.") from error
        finally:
            await _end(process)
    return output.decode("utf-8", errors="replace")


def _command(source: Path, format: str) -> list[str]:
    limits = ["+RTS", f"-M{_HEAP}", "-RTS"]
    options = ["--sandbox", "--wrap=none", "--markdown-headings=atx", "--from", format, "--to", _TARGET]
    return [pypandoc.get_pandoc_path(), *limits, *options, str(source)]


async def _output_of(process: Process, largest: int) -> bytes:
    if process.stdout is None or process.stderr is None:
        raise RuntimeError("pandoc was started without pipes")
    complaint = asyncio.create_task(_head_of(process.stderr))
    try:
        output = await _read(process.stdout, largest)
        status = await process.wait()
        said = await complaint
    finally:
        complaint.cancel()
    if status == _HEAP_EXHAUSTED:
        raise JobError("conversion_too_large", "The file needs more memory to convert than is allowed.")
    if status:
        raise JobError("conversion_failed", f"The file could not be converted: {said or f'status {status}'}")
    return output


async def _read(stream: StreamReader, largest: int) -> bytes:
    output = bytearray()
    while chunk := await stream.read(_CHUNK):
        output += chunk
        if len(output) > largest:
            raise JobError("conversion_too_large", f"The file's text is larger than {largest} bytes.")
    return bytes(output)


async def _head_of(stream: StreamReader) -> str:
    """The first line of `stream`, which is read to its end lest its writer blocks."""
    head = b""
    while chunk := await stream.read(_CHUNK):
        head = head or chunk[:300]
    return head.decode("utf-8", errors="replace").strip().partition("\n")[0]


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


def _write(path: Path, data: bytes, format: str) -> None:
    path.write_bytes(_in_utf8(data) if format in _MARKUP else data)


def _in_utf8(data: bytes) -> bytes:
    """Markup in UTF-8, the only encoding pandoc reads: by the encoding it declares, else by what fits it best."""
    declared = _CHARSET.search(data[:_CHARSET_WITHIN])
    try:
        text = data.decode(declared[1].decode() if declared else "utf-8")
    except (LookupError, UnicodeError):
        text = decode(data)
    return _XML_DECLARATION.sub(b"", text.lstrip("\ufeff").encode("utf-8", errors="replace"), count=1)
