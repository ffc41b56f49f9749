from __future__ import annotations

import pytest

from app.core.errors import BadRequest
from app.core.eventlog.cursor import Cursor, parse


def test_cursor_reads_back_what_it_writes() -> None:
    assert parse(str(Cursor(1767225600, 42))) == Cursor(1767225600, 42)


@pytest.mark.parametrize(
    "text", ["$", "", "abc", "1", "1-", "-1", "1-2-3", "1-2\r\n", "+1-2", "01-2", "1-٣", "1" * 4096, "1-" + "9" * 4096]
)
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(text)
    assert caught.value.code == "bad_cursor"


def test_only_the_very_next_id_follows() -> None:
    assert Cursor(5, 3).precedes(Cursor(5, 4))
    assert not Cursor(5, 3).precedes(Cursor(5, 5))
    assert not Cursor(5, 3).precedes(Cursor(6, 4))
    assert not Cursor(5, 3).precedes(Cursor(6, 1))


def test_place_before_a_log_is_followed_by_the_first_event_of_one_that_begins_later() -> None:
    assert Cursor(5, 0).precedes(Cursor(9, 1))
    assert not Cursor(5, 0).precedes(Cursor(9, 2))
    assert not Cursor(5, 0).precedes(Cursor(4, 1))
