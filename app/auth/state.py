"""What the functions of this package need of a request's state."""

from __future__ import annotations

from typing import TypedDict, TypeVar

from app.auth.bearer_tokens import Tokens
from app.auth.disabled_users import DisabledUsers
from app.auth.sessions import Sessions
from app.auth.stream_tickets import Tickets
from app.core.settings import Settings


class AuthState(TypedDict):
    """The part of `app.state.State` that says who is asking."""

    settings: Settings
    tokens: Tokens
    sessions: Sessions
    disabled_users: DisabledUsers
    tickets: Tickets


AuthStateT = TypeVar("AuthStateT", bound=AuthState)
"""The state of a request that passes through here, whatever else it has."""
