"""Addresses of our own: what the site is called from outside, and where on it somebody may be sent."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request

from app.auth.cookies import is_secure
from app.state import State


def origin(request: Request[State]) -> str:
    """Scheme and host as people see them: as set, else as the request names them."""
    return request.state["settings"].public_url.rstrip("/") or f"{request.url.scheme}://{request.url.netloc}"


def is_ours(request: Request[State], told: str) -> bool:
    """Whether an `Origin` is this site. Over https its pages are too: those of http could be anybody's on the way."""
    try:
        parts = urlsplit(told)
    except ValueError:
        return False
    hosts = {request.headers.get("host"), urlsplit(request.state["settings"].public_url).netloc or None}
    return parts.netloc in hosts and (parts.scheme == "https" or not is_secure(request))


def path_on_site(wanted: str | None) -> str:
    """`wanted` where it is a path of this site, else the first page: nobody is sent anywhere else.

    Browsers take `//host` and `/\\host` for another host, and drop tabs and line ends before they look.
    """
    if not wanted or not wanted.isprintable() or not wanted.startswith("/") or wanted[1:2] in {"/", "\\"}:
        return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    return "/" if parts.scheme or parts.netloc else wanted
