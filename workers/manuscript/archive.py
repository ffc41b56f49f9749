"""Archives made safe: what reads them gets a copy that was written here, never the archive that somebody sent.

Two programs may read one archive differently; of the copy nothing is left to read differently. Its sizes are true, and
pictures, sounds and fonts in it are empty.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from app.core.manuscripts.archive import ArchiveEntry, Bounds, inflate, inspect, nested, too_large
from app.core.manuscripts.markup import HEAD_BYTES, check_prolog
from workers.core.cancellation import Check, unchecked

_UNREAD = re.compile(
    r"\.(?:png|jpe?g|gif|svgz?|webp|avif|bmp|tiff?|emf|wmf|ttf|otf|woff2?|mp3|m4a|mp4|ogg|wav|css|js|bin|thmx)$",
    re.IGNORECASE,
)
_ZIP = b"PK\x03\x04"


def copy_safely(source: Path, target: Path, format: str, bounds: Bounds, check: Check = unchecked) -> None:
    """Writes what can be read of the archive `source` to `target`, a new one; `check` ends it between two pieces.

    Every entry is inflated and counted, whether it is kept or not. Raises what `inspect` and `inflate` of
    `app.core.manuscripts.archive` and `app.core.manuscripts.markup.check_prolog` raise.
    """
    inflated = 0
    with source.open("rb") as file, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as copy:
        for entry in inspect(file, format, bounds):
            if entry.is_folder:
                continue
            is_read = not entry.is_embedded and not _UNREAD.search(entry.name)
            with copy.open(entry.name, "w") as kept:
                for piece in _checked(file, entry, is_read):
                    check()
                    inflated += len(piece)
                    if inflated > bounds.inflated:
                        raise too_large(bounds.inflated)
                    if is_read:
                        kept.write(piece)


def _checked(file: BinaryIO, entry: ArchiveEntry, is_read: bool) -> Iterator[bytes]:
    """The pieces of an entry, after a look at its beginning."""
    pieces = inflate(file, entry)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    if head.startswith(_ZIP) and not entry.is_embedded:
        raise nested()
    if is_read:
        check_prolog(head, whole=len(head) == entry.size)
    yield head
    yield from pieces
