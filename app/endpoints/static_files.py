"""Our own files: pages, modules and pictures, named by what is in them and served whole."""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from app.core.etags import is_known

_MAX_FILES = 512
_ABOUT_TIME_OR_PARTS = ("range", "if-range", "if-modified-since")


class OwnFiles(StaticFiles):
    """Files of a folder, with an entity tag of their content: neither it nor anything else tells of the file system.

    Parts are not served: the largest file has some kilobytes, and overlapping ones would be many times as large.
    """

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        return own_file(Path(full_path), scope, stat_result)


def own_file(path: Path, scope: Scope, stat_result: os.stat_result | None = None) -> Response:
    """200 with the whole file, 304 where the client has it; it is asked about anew each time."""
    known = stat_result or path.stat()
    told = Headers(scope=scope).getlist("if-none-match")
    scope["headers"] = [one for one in scope["headers"] if one[0].decode("latin-1") not in _ABOUT_TIME_OR_PARTS]
    # Weak, as it is sent compressed and as it is.
    tag = f'W/"{_digest(path, known.st_mtime_ns, known.st_size)}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Accept-Ranges": "none"}
    answer = FileResponse(path, headers=headers, stat_result=known)
    del answer.headers["last-modified"]
    return NotModifiedResponse(answer.headers) if is_known(told, tag) else answer


@lru_cache(maxsize=_MAX_FILES)
def _digest(path: Path, changed: int, size: int) -> str:
    return blake2b(path.read_bytes(), digest_size=15).hexdigest()
