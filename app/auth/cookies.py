"""Our cookies: HttpOnly, SameSite=Lax, and over https bound to this host, so that no other host can set one.

A browser accepts a `__Host-` cookie only if it is Secure, for `/`, and without a Domain (RFC 6265bis, 4.1.3.2).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.auth.state import AuthStateT

SESSION = "smartvoice_session"
DEVICE = "smartvoice_device"


def is_secure(request: Request[AuthStateT]) -> bool:
    """Return whether the client is connected by https, to us or to a proxy before us."""
    return request.url.scheme == "https" or request.state["settings"].over_https


def read(request: Request[AuthStateT], name: str) -> str | None:
    """Return a cookie's value. Over https the plain name is ignored: somebody on the way could have set it."""
    return request.cookies.get(_name(request, name))


def put(request: Request[AuthStateT], response: Response, name: str, value: str, seconds: int) -> None:
    """Set a cookie for so many seconds."""
    secure = is_secure(request)
    response.set_cookie(
        _name(request, name), value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure
    )


def clear(request: Request[AuthStateT], response: Response, name: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(_name(request, name), path="/", httponly=True, samesite="lax", secure=is_secure(request))


def name_of(name: str, *, secure: bool) -> str:
    """Return a cookie's name in the browser."""
    return f"__Host-{name}" if secure else name


def _name(request: Request[AuthStateT], name: str) -> str:
    return name_of(name, secure=is_secure(request))
