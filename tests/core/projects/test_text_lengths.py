"""Short texts are cut at a word where that loses little, and what was cut off is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.core.projects.text_lengths import MAX_TITLE, divided, numbered, shortened


def test_short_text_stays_as_it_is() -> None:
    assert divided("x" * MAX_TITLE) == ("x" * MAX_TITLE, "")


def test_long_title_is_cut_between_words_and_the_rest_is_kept() -> None:
    assert divided("The long way home", 12) == ("The long…", "way home")
    assert divided("漫长的回家之路", 5) == ("漫长的回…", "家之路")


@given(st.text(), st.integers(2, 40))
def test_nothing_visible_is_lost_and_nothing_is_longer_than_it_may_be(text: str, longest: int) -> None:
    short, rest = divided(text, longest)
    assert len(short) <= longest
    if rest or short != text:
        assert "".join((short[:-1] + rest).split()) == "".join(text.split())


def test_numbered_title_has_its_number_however_long_it_is() -> None:
    assert numbered("A", 2) == "A (2)"
    long = numbered("x" * MAX_TITLE, 12)
    assert (len(long), long[-6:]) == (MAX_TITLE, "… (12)")
    assert shortened(long) == long
