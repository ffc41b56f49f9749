"""The route of a request, as metrics and logs name it."""

from __future__ import annotations

from starlette.types import Scope

UNKNOWN = "unknown"
"""The route of an unknown path."""


def route_of(scope: Scope) -> str:
    """Return the template of a request's path, such as `/api/projects/{project}`, never what the client sent."""
    return getattr(scope.get("route"), "path", None) or UNKNOWN
