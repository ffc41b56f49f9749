"""Stops work in a thread, which cannot be ended from outside, by a check that the work calls often.

Apart from `workers.core.blocking` for the sake of the splitter program, which imports as little as it can.
"""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], None]
"""Raises Stopped if the work shall end. Work calls it several times a second."""


class Stopped(Exception):
    """The caller of the work was cancelled. Never raised to that caller."""


def unchecked() -> None:
    """A check for work that nobody stops."""
