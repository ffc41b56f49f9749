"""Which route a request was for, as metrics and logs name it."""

from __future__ import annotations

from starlette.types import Scope

UNKNOWN = "unknown"
"""The route of a path that is none of ours."""


def route_of(scope: Scope) -> str:
    """The template of a request's path, such as `/api/projects/{project}`: never what somebody typed."""
    return getattr(scope.get("route"), "path", None) or UNKNOWN
