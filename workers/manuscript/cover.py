"""The picture on a book's cover: only of a kind that every browser shows as a picture and as nothing else."""

from __future__ import annotations

from pathlib import Path

from app.core.errors import Problem
from app.core.manuscripts.archive import Bounds, inflate, inspect

MAX_SIZE = 10 * 1024 * 1024  # bytes
_MAGIC = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def type_of(picture: bytes) -> str:
    """The media type of `picture` by its first bytes; empty where it is none that is served, or too large."""
    if len(picture) > MAX_SIZE:
        return ""
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "image/webp"
    return next((type for magic, type in _MAGIC.items() if picture.startswith(magic)), "")


def from_archive(source: Path, name: str, format: str, bounds: Bounds) -> bytes:
    """The picture `name` in an archive as somebody sent it; empty where it is too large, or cannot be had."""
    picture = b""
    try:
        with source.open("rb") as file:
            entry = next((one for one in inspect(file, format, bounds) if one.name == name), None)
            if entry is None or entry.size > MAX_SIZE:
                return b""
            for piece in inflate(file, entry):
                picture += piece
    except Problem:
        return b""
    return picture
