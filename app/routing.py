"""Routes that want a credential before anything else is looked at."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.routing import Route

from app.auth.identity import RequireIdentity
from app.core.rates import Rate
from app.endpoints.limits import Counted
from app.openapi.operation import Endpoint

_COUNTED = {"POST", "PATCH"}


class Guarded(Route):
    """One method of a path, behind a credential.

    Args:
        rates: what each request counts towards, beside `changes`, towards which each POST and PATCH does.
        tickets: whether `?ticket=` is a credential here.
    """

    def __init__(self, method: str, path: str, endpoint: Endpoint, *rates: Rate, tickets: bool = False) -> None:
        self.rates: tuple[Rate, ...] = ("changes", *rates) if method in _COUNTED else rates
        self.tickets = tickets
        limits = [Middleware(Counted, self.rates)] if self.rates else []
        middleware = [Middleware(RequireIdentity, tickets=tickets), *limits]
        super().__init__(path, endpoint, methods=[method], middleware=middleware)
