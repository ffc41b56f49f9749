"""Markdown falls into chapters at its headings, and its blocks into plain paragraphs."""

from __future__ import annotations

import pytest

from workers.manuscript.markdown import split
from workers.manuscript.model import Chapter, Manuscript


def titles(markdown: str) -> list[str]:
    return [chapter.title for chapter in split(markdown, "Book").chapters]


def text(markdown: str) -> str:
    (chapter,) = split(markdown, "Book").chapters
    return chapter.text


def test_only_h1_over_h2s_is_the_books_title() -> None:
    found = split("# My Story\n\nBy me.\n\n## One\n\nText 1.\n\n## Two\n\nText 2.\n", "file")
    assert found == Manuscript(
        "My Story", [Chapter("My Story", "By me."), Chapter("One", "Text 1."), Chapter("Two", "Text 2.")]
    )


def test_several_h1s_are_chapters_and_h2s_are_text() -> None:
    found = split("# One\n\nA.\n\n## Inner\n\nB.\n\n# Two\n\nC.\n", "Book")
    assert found == Manuscript("Book", [Chapter("One", "A.\n\nInner\n\nB."), Chapter("Two", "C.")])


def test_chapters_begin_at_the_highest_level_that_repeats() -> None:
    assert titles("# T\n\n## Only\n\nA.\n\n### One\n\nB.\n\n### Two\n\nC.\n") == ["Only", "One", "Two"]


def test_volumes_hand_their_title_to_their_first_chapter() -> None:
    markdown = "# Part One\n\n## A\n\na.\n\n## B\n\nb.\n\n# Part Two\n\n## C\n\nc.\n"
    assert titles(markdown) == ["Part One A", "B", "Part Two C"]


def test_title_page_joins_no_chapter() -> None:
    assert titles("# Book\n\n# One\n\nA.\n\n# Two\n\nB.\n") == ["One", "Two"]


def test_lone_heading_is_the_only_chapter() -> None:
    assert split("# One\n\nA.\n", "Book") == Manuscript("Book", [Chapter("One", "A.")])


def test_without_headings_lines_that_look_like_chapters_count() -> None:
    assert titles("第一章 少年\n\n他来了。\n\n第二章 归来\n\n他走了。\n") == ["第一章 少年", "第二章 归来"]
    assert titles("Nothing but text.") == ["Book"]


def test_setext_headings_count() -> None:
    assert titles("One\n===\n\nA.\n\nTwo\n===\n\nB.\n") == ["One", "Two"]


def test_markup_is_not_text() -> None:
    markdown = "A **bold** and *soft* [link](http://x.y) ![picture](a.png) `name` ~~gone~~ <b>raw</b> &amp; \\*star\\*"
    assert text(markdown) == "A bold and soft link name gone raw & *star*"


def test_lists_quotes_and_tables_are_paragraphs() -> None:
    markdown = "> Said\n\n- one\n- two\n\n1. first\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert text(markdown) == "Said\n\none\n\ntwo\n\nfirst\n\na, b\n\n1, 2"


def test_code_blocks_comments_and_front_matter_are_left_out() -> None:
    markdown = "---\ntitle: x\n---\nA.\n\n```\ncode\n```\n\n    indented\n\n<!-- note -->\n\n<p>Raw &amp; text</p>\n"
    assert text(markdown) == "A.\n\nRaw & text"


def test_broken_lines_are_joined_without_a_space_between_chinese() -> None:
    assert text("one\ntwo") == "one two"
    assert text("他走了很远，\n终于到了。") == "他走了很远，终于到了。"
    assert text("one\\\ntwo") == "one\ntwo"


def test_a_heading_that_is_empty_counts_for_nothing() -> None:
    assert titles("#\n\n# One\n\nA.\n\n# Two\n\nB.\n") == ["One", "Two"]


@pytest.mark.parametrize("raw", ["<!--", "<script>", "<style>", "<", "<a ", "<!-- --", "</script>"])
def test_raw_html_without_an_end_takes_no_time(raw: str) -> None:
    # Hours, where each beginning looks for its end anew.
    split("<div>\n" + raw * 300_000 + "\n</div>", "Book")


def test_raw_html_is_left_out_and_the_text_in_it_stays() -> None:
    text = "<div>\nOne <b>two</b> <!-- a > b --><SCRIPT>x < y</script >three <style>p > a {}</STYLE>four &lt; 5\n</div>"
    assert split(text, "Book").chapters[0].text == "One two three four < 5"


def test_script_without_an_end_takes_the_rest_with_it_and_says_so() -> None:
    found = split("One.\n\n<div>\n<script>no end, a < b, and text\n", "Book")
    assert found.chapters[0].text == "One."
    assert found.left_out == {"hidden": len("noend,a<b,andtext")}
