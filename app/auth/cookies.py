"""Our cookies: HttpOnly, SameSite=Lax, and over https bound to this very host, so that no other can plant one.

A browser takes a `__Host-` cookie only where it is Secure, for `/`, and without a Domain (RFC 6265bis, 4.1.3.2).
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.auth.state import AuthStateT

SESSION = "smartvoice_session"
DEVICE = "smartvoice_device"


def is_secure(request: Request[AuthStateT]) -> bool:
    """Whether the one who asks is connected by https, to us or to a proxy before us."""
    return request.url.scheme == "https" or request.state["settings"].over_https


def read(request: Request[AuthStateT], name: str) -> str | None:
    """A cookie's value. Over https the plain name is not looked at: whoever is between could have planted it."""
    return request.cookies.get(_name(request, name))


def put(request: Request[AuthStateT], response: Response, name: str, value: str, seconds: int) -> None:
    """Sets a cookie for so many seconds."""
    secure = is_secure(request)
    response.set_cookie(
        _name(request, name), value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure
    )


def clear(request: Request[AuthStateT], response: Response, name: str) -> None:
    """Takes a cookie away."""
    response.delete_cookie(_name(request, name), path="/", httponly=True, samesite="lax", secure=is_secure(request))


def name_of(name: str, *, secure: bool) -> str:
    """What a cookie is called in the browser."""
    return f"__Host-{name}" if secure else name


def _name(request: Request[AuthStateT], name: str) -> str:
    return name_of(name, secure=is_secure(request))
