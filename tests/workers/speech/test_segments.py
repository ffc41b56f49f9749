"""Segments are the text, cut where a reader would breathe."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.speech.segments import COMFORTABLE, ends_paragraph, segments, speakable

ZH = st.text(alphabet="他来了走的是一，。！？；、“”……\n 　Aa1", max_size=400)
EN = st.text(alphabet="abc ABC.,;:!?-'\"\n1", max_size=400)


def check(text: str, found: list[str], limit: int) -> None:
    assert "".join(found) == text
    assert all(0 < len(segment) <= limit for segment in found)
    for before, segment in zip(["", *found], found, strict=False):
        # Without anything to say it stands alone only if there is nobody who could take it.
        assert speakable(segment) or not before or len(before) + len(segment) > limit


@given(ZH, st.integers(min_value=5, max_value=400))
def test_chinese_segments_are_the_text(text: str, limit: int) -> None:
    check(text, segments(text, "zh-CN", limit), limit)


@given(EN, st.integers(min_value=5, max_value=400))
def test_english_segments_are_the_text(text: str, limit: int) -> None:
    check(text, segments(text, "en", limit), limit)


@given(st.text(max_size=300), st.sampled_from(["zh-CN", "en"]))
def test_any_segments_are_the_text(text: str, language: str) -> None:
    check(text, segments(text, language, 50), 50)


@given(st.lists(st.sampled_from(["他来了。", "\n", "……", "“走吧！”", "Hello. "]), min_size=1))
def test_every_segment_of_a_speakable_text_says_something(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert not speakable(text) or all(map(speakable, segments(text, "zh-CN", 1800)))


@pytest.mark.parametrize(
    "text", ["没有标点" * 50_000, "a" * 200_000, "他来了。" * 50_000, "。" * 200_000, "\n " * 100_000]
)
def test_a_very_long_text_is_cut_at_once(text: str) -> None:
    began = time.process_time()
    found = segments(text, "zh-CN", 1800)
    assert time.process_time() - began < 2
    check(text, found, 1800)


def test_sentences_are_joined_to_a_comfortable_size() -> None:
    found = segments("这是一个句子。" * 100, "zh-CN", 1800)
    assert all(COMFORTABLE - 7 < len(segment) <= COMFORTABLE for segment in found[:-1])
    assert all(segment.endswith("。") for segment in found)


def test_segments_end_with_their_paragraph() -> None:
    assert segments("　　他来了。\n　　他走了。\n", "zh-CN", 1800) == ["　　他来了。\n　　", "他走了。\n"]
    assert segments("One. Two.\n\nThree.", "en", 1800) == ["One. Two.\n\n", "Three."]
    assert segments("A line\nAnother line", "en", 1800) == ["A line\n", "Another line"]


def test_lines_broken_for_their_length_are_one_paragraph() -> None:
    text = (
        "It was the best of times and it was the worst of times for\nall of us who lived through it. It ended.\n\nNext."
    )
    assert segments(text, "en", 1800) == [text.removesuffix("Next."), "Next."]


def test_abbreviations_and_numbers_end_no_sentence() -> None:
    text = "Dr. Smith paid $3.50 to Mr. Jones. " * 20
    assert all(segment.endswith("Jones. ") for segment in segments(text, "en", 60))


def test_a_quotation_is_not_torn() -> None:
    assert segments("他说：“你好。你去哪儿？”我不知道。", "zh-CN", 14) == ["他说：“你好。你去哪儿？”", "我不知道。"]


def test_overlong_sentence_is_cut_at_clauses_then_spaces_then_anywhere() -> None:
    assert segments("one two, three four five", "en", 12) == ["one two, ", "three four ", "five"]
    assert segments("他来了，然后他又走了很远", "zh-CN", 6) == ["他来了，", "然后他又走了", "很远"]


def test_marks_alone_go_with_their_neighbour() -> None:
    assert segments("***\n\nOne.\n\n* * *\n\nTwo.", "en", 1800) == ["***\n\nOne.\n\n* * *\n\n", "Two."]
    assert segments("……！", "zh-CN", 1800) == ["……！"]
    assert segments("", "en", 1800) == []


def test_end_of_a_paragraph_is_seen() -> None:
    assert ends_paragraph("One.\n\n")
    assert ends_paragraph("他来了。\n　　")
    assert not ends_paragraph("One.\nTwo. ")


SENTENCES = {
    "en": [
        f"Sentence {number} speaks of the {number % 7} lamps that burn in house {number * 13}. " for number in range(60)
    ],
    "zh-CN": [f"第{number}句话说的是第{number * 13}号房子里的{number % 7}盏灯，它们整夜亮着。" for number in range(60)],
}


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("edited", range(3, 60, 8))
def test_edited_sentence_changes_its_segment_and_few_after_it(language: str, edited: int) -> None:
    sentences = SENTENCES[language]
    before = segments("".join(sentences), language, 1800)
    changed = [*sentences[:edited], "Quite another sentence. ", *sentences[edited + 1 :]]
    after = segments("".join(changed), language, 1800)
    assert len(before) > 10
    assert 1 <= len(set(after) - set(before)) <= 2
