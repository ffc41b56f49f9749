"""How work in a thread is stopped, which nobody can end from outside: by a check that it calls often.

Apart from `workers.core.blocking`, for the program that splits manuscripts, which imports as little as it can.
"""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], None]
"""Raises Stopped where the work is to end; to be called several times a second."""


class Stopped(Exception):
    """Whoever waited for the work no longer does. It never leaves the thread's caller, who is cancelled."""


def unchecked() -> None:
    """The check of work that nobody stops."""
