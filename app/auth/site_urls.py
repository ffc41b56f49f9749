"""Addresses of our own: what the site is called from outside, and where on it somebody may be sent."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.requests import Request

from app.auth.cookies import is_secure
from app.auth.state import AuthStateT
from app.core.errors import BadRequest

_OTHER_FIELDS = 20
MAX_PATH = 1024
"""Characters of a path that somebody may be sent to."""


def check_query(request: Request[AuthStateT]) -> None:
    """Refuses a query of more fields than one may have projects to name, before it is taken apart.

    Raises BadRequest (`bad_query`).
    """
    if request.scope["query_string"].count(b"&") > request.state["settings"].max_projects + _OTHER_FIELDS:
        raise BadRequest("The query has too many fields.", code="bad_query")


def origin(request: Request[AuthStateT]) -> str:
    """Scheme and host as people see them: as set, else as the request names them."""
    return request.state["settings"].public_url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"


def is_ours(request: Request[AuthStateT], told: str) -> bool:
    """Whether an `Origin` is this site. Over https its pages are too: those of http could be anybody's on the way."""
    try:
        parts = urlsplit(told)
    except ValueError:
        return False
    hosts = {request.headers.get("host"), urlsplit(request.state["settings"].public_url).netloc or None}
    return parts.netloc in hosts and (parts.scheme == "https" or not is_secure(request))


def path_on_site(wanted: str | None) -> str:
    """`wanted` where a browser takes it for a path of this site, else the first page: nobody is sent anywhere else.

    It is read as browsers read addresses (WHATWG URL): `\\` is a slash, tabs and line ends are dropped, and `/.//host`
    is the path `//host`, which would be another host wherever it is read once more. Any of that is no path here.
    """
    if not wanted or len(wanted) > MAX_PATH or not wanted.isprintable() or "\\" in wanted:
        return "/"
    path = re.split(r"[?#]", wanted, maxsplit=1)[0]
    return wanted if path.startswith("/") and not _normal(path).startswith("//") else "/"


def _normal(path: str) -> str:
    """A path without the segments that stand for this folder or the one above."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        plain = re.sub("%2e", ".", segment, flags=re.IGNORECASE)
        if plain == "..":
            del kept[-1:]
        elif plain != ".":
            kept.append(segment)
    return "/" + "/".join(kept)
