"""Bytes become text in whatever encoding they came, and what is no text is refused."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import Unprocessable
from app.core.manuscripts.text import clean, decode, language_of

SIMPLIFIED = "第一章 少年\n他说：“你好，世界。”我们去哪儿？"
TRADITIONAL = "第一章 少年\n他說：「你好，世界。」我們去哪兒？"
ENGLISH = "It was the best of times, it was the worst of times. “Café,” she said — naïve."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", [SIMPLIFIED, TRADITIONAL, ENGLISH])
def test_unicode_with_a_mark_and_utf8_are_read(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [SIMPLIFIED, TRADITIONAL, ENGLISH])
def test_utf16_without_a_mark_is_read(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_big_endian_mark_is_obeyed() -> None:
    assert decode(b"\xfe\xff" + SIMPLIFIED.encode("utf-16-be")) == SIMPLIFIED


@pytest.mark.parametrize(
    "text",
    [
        SIMPLIFIED,
        "你好，世界。",
        "我们",
        "今天天气很好",
        "Chapter 1 你好",
        "他的名字叫李明，今年二十岁。",
        "★★★★★★\n第一章\n━━━━━━\n他走了。",
        SIMPLIFIED * 20000,
    ],
)
def test_gb18030_is_read_however_short(text: str) -> None:
    assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize("text", [TRADITIONAL, "我們今天去學校。", TRADITIONAL * 20000])
def test_big5_is_read(text: str) -> None:
    assert decode(text.encode("big5")) == text


def test_western_legacy_text_is_read() -> None:
    assert decode(ENGLISH.encode("cp1252")) == ENGLISH
    assert decode("Déjà vu, naïve façade".encode("latin-1")) == "Déjà vu, naïve façade"


def test_character_cut_in_two_by_the_sample_does_no_harm() -> None:
    for padding in range(4):
        text = "a" * padding + "我们去公园。" * 20000
        assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_few_broken_bytes_in_a_book_are_left_out(encoding: str) -> None:
    line = "他走了很远的路，终于到了家。\n".encode(encoding)
    assert decode(line * 500 + b"\xff\n" + line * 500).replace("\n", "") == (line * 1000).decode(encoding).replace(
        "\n", ""
    )


def test_line_ends_become_line_feeds() -> None:
    assert decode(b"a\r\nb\rc\n\x0cd") == "a\nb\nc\n\nd"


def test_stray_nuls_and_direction_marks_are_taken_out() -> None:
    text = "a good sentence. " * 20
    assert decode(("\0" + text).encode()) == text
    assert decode("abc \u202edef\u202c \u2066ghi\u2069\ufeff".encode()) == "abc def ghi"


@pytest.mark.parametrize("data", [b"", b" \n\t", b"...!?", "👍🎉".encode(), "。。。".encode("utf-16"), b"\xff\xfe"])
def test_nothing_to_read_is_empty(data: bytes) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode(data)
    assert caught.value.code == "empty_text"


@pytest.mark.parametrize("length", [16, 33, 64, 200, 1000, 5000, 100_000])
def test_random_bytes_are_not_text(length: int) -> None:
    for seed in range(40 if length < 10_000 else 3):
        with pytest.raises(Unprocessable) as caught:
            decode(random.Random(seed).randbytes(length))
        assert caught.value.code == "not_text"


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
def test_mark_before_random_bytes_makes_no_text(mark: bytes) -> None:
    for seed in range(30):
        with pytest.raises(Unprocessable) as caught:
            decode(mark + random.Random(seed).randbytes(3000))
        assert caught.value.code == "not_text"


def test_usual_binaries_are_not_text() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + zlib.compress(bytes(range(256)) * 40)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x03\0>\0" * 50
    for data in (png, elf, bytes(1000), bytes(range(256)) * 4):
        with pytest.raises(Unprocessable) as caught:
            decode(data)
        assert caught.value.code == "not_text"


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        text = decode(data)
    except Unprocessable as error:
        text, code = "a", error.code
    else:
        code = ""
    assert code in {"", "not_text", "empty_text"}
    assert any(char.isalnum() for char in text)
    assert clean(text) == text


@settings(deadline=None)
@given(st.text(alphabet="的一是不了在人有我他这中大来上国，。！？“”\n", min_size=8))
def test_common_chinese_survives_gb18030(text: str) -> None:
    if any(char.isalnum() for char in text):
        assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你好，世界。", "zh-CN"),
        ("他买了一台 iPhone 手机。", "zh-CN"),
        ("Hello, world.", "en"),
        ("The word 你 means you.", "en"),
        ("12345 …", "zh-CN"),
    ],
)
def test_language_is_told_by_the_letters(text: str, language: str) -> None:
    assert language_of(text, "zh-CN") == language
