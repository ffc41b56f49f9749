"""What a docx, odt, fb2 or rtf says of itself beside its text: title, author, language, and an fb2's cover."""

from __future__ import annotations

import base64
import binascii
import re
import zipfile
from pathlib import Path
from typing import NamedTuple

from app.core.manuscripts.text import scrubbed
from app.core.projects.text_lengths import MAX_TITLE
from workers.manuscript import rtf, xml

_PARTS = {"docx": "docProps/core.xml", "odt": "meta.xml"}
_MAX_SIZE = 1024 * 1024  # bytes, of such a part
_JUNK = re.compile(r"(?i)microsoft word\b.*|document\d*|untitled")
_DESCRIPTION = re.compile(r"<description\b.*?</description>", re.DOTALL)
_NAME = re.compile(r"<author\b[^>]*>(.*?)</author>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_LANG = re.compile(r"<lang>([^<]*)</lang>")
_COVER = re.compile(r"<coverpage>.*?href=[\"']#([^\"']+)[\"']", re.DOTALL)


class DocumentMetadata(NamedTuple):
    """What a document says of itself; empty where it does not."""

    title: str = ""
    author: str = ""
    language: str = ""
    cover: bytes = b""


def said(path: Path, format: str) -> DocumentMetadata:
    """What the file at `path` says; nothing where its format has no place for it, or the place cannot be read.

    Raises Unprocessable (`unsafe_xml`).
    """
    if format == "rtf":
        title, author = rtf.said(path.read_bytes())
        return DocumentMetadata("" if _JUNK.fullmatch(title) else title, author)
    if format == "fb2":
        return _fictionbook(path.read_text("utf-8", errors="replace"))
    return _office(path, _PARTS[format]) if format in _PARTS else DocumentMetadata()


def _office(path: Path, part: str) -> DocumentMetadata:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(part).file_size > _MAX_SIZE:
                return DocumentMetadata()
            root = xml.parse(archive.read(part))
    except (KeyError, ValueError):
        return DocumentMetadata()
    found: dict[str, str] = {}
    for element in root.iter():
        name = str(element.tag).rpartition("}")[2]
        found.setdefault(name, " ".join(scrubbed(element.text or "").split())[:MAX_TITLE])
    title = found.get("title", "")
    author = found.get("initial-creator") or found.get("creator", "")
    return DocumentMetadata("" if _JUNK.fullmatch(title) else title, author, found.get("language", ""))


def _fictionbook(text: str) -> DocumentMetadata:
    description = _DESCRIPTION.search(text)
    if not description:
        return DocumentMetadata()
    author, language, cover = (pattern.search(description[0]) for pattern in (_NAME, _LANG, _COVER))
    return DocumentMetadata(
        author=" ".join(_TAG.sub(" ", author[1]).split())[:MAX_TITLE] if author else "",
        language=language[1].strip()[:MAX_TITLE] if language else "",
        cover=_binary(text, cover[1]) if cover else b"",
    )


def _binary(text: str, id: str) -> bytes:
    match = re.search(rf"<binary\b[^>]*\bid=[\"']{re.escape(id)}[\"'][^>]*>([^<]*)</binary>", text)
    try:
        return base64.b64decode(match[1]) if match else b""
    except (binascii.Error, ValueError):
        return b""
