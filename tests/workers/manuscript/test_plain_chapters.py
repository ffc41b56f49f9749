"""Plain text falls into chapters at its headings, and every line of it stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.manuscript.headings import is_heading
from workers.manuscript.model import Chapter
from workers.manuscript.plain_chapters import split

HEADINGS = [
    "第一章",
    "第十二章 少年",
    "　　第一百零三章　归来",
    "第3章：你是谁？",
    "第３回",
    "第一章少年",
    "第二卷 风起",
    "第四节 山路",
    "第五部",
    "正文 第七章 雪",
    "序章",
    "楔子 雪夜",
    "番外",
    "番外二 重逢",
    "番外篇 春天",
    "自序",
    "第三话 归途",
    "附录：地名",
    "后记",
    "终章：落幕",
    "Chapter 1",
    "CHAPTER IV",
    "CHAPTER IV.",
    "Chapter One",
    "Chapter Twenty-One: The Road",
    "Chapter 3 The Road",
    "Chapter 12. Down the Rabbit-Hole",
    "Part II",
    "Prologue",
    "EPILOGUE",
    "Introduction: Why",
    "目录",
    "Contents",
    "Interlude",
]
SENTENCES = [
    "第一章的内容讲的是他的童年",
    "第一章写完之后，他把笔放在桌上，站起来看了看窗外的雪，然后走了出去。",
    "第一章 他走了。",
    "第一节课我睡着了",
    "第二部分工作已经做完",
    "第三回合开始了",
    "前言不搭后语",
    "番外的故事",
    "他读了第一章",
    "Chapter one was boring.",
    "Chapter 3 was boring",
    "Part of the problem",
    "Part one of the plan",
    "chapter 1",
    "Introduction of new rules",
    "Chapter 1 " + "A long sentence that goes on " * 4,
    "",
]


@pytest.mark.parametrize("line", HEADINGS)
def test_heading_is_known(line: str) -> None:
    assert is_heading(line)


@pytest.mark.parametrize("line", SENTENCES)
def test_sentence_that_begins_like_a_heading_is_none(line: str) -> None:
    assert not is_heading(line)


def test_text_before_the_first_heading_is_a_chapter_of_its_own() -> None:
    text = "作者：某人\n\n第一章 少年\n他来了。\n\n第二章\n他走了。\n"
    assert split(text, "书") == [
        Chapter("书", "作者：某人"),
        Chapter("第一章 少年", "他来了。"),
        Chapter("第二章", "他走了。"),
    ]


def test_ornaments_before_the_first_heading_make_no_chapter() -> None:
    assert split("=====\nChapter 1\nText.", "Book") == [Chapter("Chapter 1", "=====\nText.")]


def test_book_without_headings_is_one_chapter() -> None:
    assert split("\nOne line.\n\nAnother.\n", "Book") == [Chapter("Book", "One line.\n\nAnother.")]


def test_book_of_headings_alone_keeps_them_as_text() -> None:
    assert split("Chapter 1\nChapter 2", "Book") == [Chapter("Book", "Chapter 1\nChapter 2")]


def test_heading_without_text_joins_the_next_title() -> None:
    text = "第一卷 风起\n第一章 少年\n他来了。\n第二卷 云涌\n\n第二章 归来\n他走了。"
    assert [chapter.title for chapter in split(text, "书")] == ["第一卷 风起 第一章 少年", "第二卷 云涌 第二章 归来"]


@pytest.mark.parametrize("leader", ["", " ..... 12", "……7"])
def test_list_of_contents_makes_no_chapters(leader: str) -> None:
    contents = f"目录\n第一章 少年{leader}\n第二章　归来{leader}\n\n"
    found = split(contents + "第一章 少年\n他来了。\n第二章 归来\n他走了。", "书")
    assert found == [Chapter("第一章 少年", "他来了。"), Chapter("第二章 归来", "他走了。")]


def test_list_of_contents_with_other_titles_makes_no_endless_title() -> None:
    contents = "".join(f"Chapter {number}: Long Title\n" for number in range(1, 9))
    assert [chapter.title for chapter in split(contents + "Chapter I\nText.", "Book")] == ["Chapter I"]


def test_same_number_in_two_volumes_is_two_chapters() -> None:
    text = "第一卷\n第一章\n甲。\n第二卷\n第一章\n乙。"
    assert [chapter.text for chapter in split(text, "书")] == ["甲。", "乙。"]


def test_overlong_chapter_is_cut_at_paragraph_ends() -> None:
    text = "Chapter 1\n" + "\n".join(["0123456789"] * 10)
    found = split(text, "Book", longest=40)
    assert [chapter.title for chapter in found] == [f"Chapter 1 ({number})" for number in range(1, 5)]
    assert "\n".join(chapter.text for chapter in found) == text.removeprefix("Chapter 1\n")
    assert all(len(chapter.text) <= 40 for chapter in found)


def test_overlong_paragraph_is_cut_all_the_same() -> None:
    assert [chapter.text for chapter in split("a" * 25, "Book", longest=10)] == ["a" * 10, "a" * 10, "a" * 5]


TEXT = "这里有一段足够长的文字，所以上面的那一行不会是清单里的一项，而是一章的标题；它说了很多。"


@pytest.mark.parametrize(
    "headings",
    [
        ["1.", "2.", "3."],
        ["１．起", "２．承", "３．转"],
        ["1、起", "2、承", "3、转"],
        ["一、起", "二、承", "三、转"],
        ["一", "二", "三"],
        ["I.", "II.", "III."],
        ["1. A Start", "2. A Middle", "3. An End"],
    ],
)
def test_numbers_that_count_up_with_text_under_each_are_guessed_to_be_headings(headings: list[str]) -> None:
    text = "\n\n".join(f"{heading}\n\n{TEXT}" for heading in headings)
    found = split(text, "书")
    assert [(chapter.title, chapter.confidence) for chapter in found] == [(heading, "low") for heading in headings]


@pytest.mark.parametrize(
    "text",
    [
        f"1. 苹果\n2. 梨\n3. 桃\n\n{TEXT}",  # a list
        f"1. 起\n{TEXT}\n3. 转\n{TEXT}\n5. 合\n{TEXT}",  # not one after the other
        f"1. 起\n{TEXT}\n2. 承\n{TEXT}",  # too few to be sure of anything
        f"1.5 元\n{TEXT}\n2.5 元\n{TEXT}\n3.5 元\n{TEXT}",
    ],
)
def test_other_numbers_at_the_beginning_of_lines_are_text(text: str) -> None:
    assert [chapter.title for chapter in split(text, "书")] == ["书"]


def test_numbers_count_for_nothing_where_chapters_are_called_so() -> None:
    text = "第一章\n" + "\n".join(f"{number}.\n{TEXT}" for number in range(1, 5))
    assert [chapter.title for chapter in split(text, "书")] == ["第一章"]


@pytest.mark.parametrize(
    ("numbers", "doubted"),
    [
        ([1, 2, 3], []),
        ([5, 6, 7], []),
        ([1, 9, 2, 3], [9]),
        ([1, 2, 4, 5], [4]),
        ([1, 2, 2, 3], [2]),
        ([1, 2, 1, 2], []),
    ],
)
def test_number_that_does_not_follow_is_doubted(numbers: list[int], doubted: list[int]) -> None:
    found = split("\n".join(f"第{number}章\n{TEXT}" for number in numbers), "书")
    assert [chapter.title for chapter in found if chapter.confidence == "low"] == [f"第{one}章" for one in doubted]


LINES = st.one_of(
    st.sampled_from(HEADINGS),
    st.sampled_from(SENTENCES),
    st.sampled_from(["", "   ", "***", "……"]),
    st.text(alphabet="他来了第一章 Chapter1。.\t", max_size=12),
)


@given(st.lists(LINES, max_size=30))
def test_every_line_lies_in_exactly_one_chapter_in_order(lines: list[str]) -> None:
    expected = [line.strip() for line in lines if line.strip() and not is_heading(line)]
    text = "\n".join(lines)
    found = [line.strip() for chapter in split(text, "Book") for line in chapter.text.split("\n") if line.strip()]
    if not any(char.isalnum() for line in expected for char in line):
        # Nothing but headings: they are the text.
        expected = [line.strip() for line in lines if line.strip()]
    assert found == expected


@given(st.lists(LINES, max_size=30), st.integers(min_value=5, max_value=60))
def test_cutting_loses_no_character(lines: list[str], longest: int) -> None:
    text = "\n".join(lines)
    whole = "".join("".join(chapter.text.split()) for chapter in split(text, "Book"))
    parts = split(text, "Book", longest=longest)
    assert "".join("".join(chapter.text.split()) for chapter in parts) == whole
    assert all(len(chapter.text) <= longest for chapter in parts)
