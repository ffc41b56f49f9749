"""Event ids and cursors: `<epoch>-<seq>`, ordered, and proof that nothing is missing between two of them."""

from __future__ import annotations

import re
from typing import NamedTuple

from app.core.errors import BadRequest

_FORM = re.compile(r"(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})")


class Cursor(NamedTuple):
    """The id of the last event seen. With `seq` 0 it stands before the first event of the next log, whose epoch will be
    `epoch` or later."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"

    def precedes(self, first: Cursor) -> bool:
        """Return whether `first` is the next event after this cursor, so that nothing lies between."""
        if self.seq == 0 and first.seq == 1:
            return first.epoch >= self.epoch
        return first == (self.epoch, self.seq + 1)


def parse(text: str) -> Cursor:
    """Parse a cursor that a client sent. Raises BadRequest (`bad_cursor`)."""
    match = _FORM.fullmatch(text)
    if not match:
        raise BadRequest("A cursor is the id of an event, like 1767225600-42.", code="bad_cursor")
    return Cursor(int(match[1]), int(match[2]))
