"""What is no password: short, endless, or among the first that others would try."""

from __future__ import annotations

import unicodedata

import pytest
from redis.asyncio import Redis

from app.auth.accounts import Accounts
from app.auth.password_rules import MAX_LENGTH, check_new, is_common
from app.core.errors import Problem, Unprocessable
from app.core.settings import Settings

COMMON = [
    *("Password123!", "P@ssw0rd2024!", "iloveyou1234567", "woaini1314520", "letmein!!!!!!", "1q2w3e4r5t6y"),
    *("123456789012", "098765432109", "abcdefghijkl", "zyxwvutsrqpo", "qwertyuiopas", "qazwsxedcrfv"),
    *("aaaaaaaaaaaa", "ababababababab", "passwordpassword", "trustno1trustno1", "密码密码密码密码密码密码"),
    *("smartvoice2026", "alicealicealice", "Alice2026!!x", "ａｄｍｉｎ１２３４５６７"),
]
GOOD = [
    *("correct horse battery staple", "the sea was calm", "kX9#vLq2mWz8", "847261930475", "我爱北京天安门太阳升！"),
    *("summer84726193", "alice in wonderland", "          .          x", "monkey dragon"),
]


@pytest.mark.parametrize("password", COMMON)
def test_password_that_anybody_would_try_is_refused(password: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        check_new(password, "alice", 8)
    assert caught.value.code == "common_password"


@pytest.mark.parametrize("password", GOOD)
def test_there_is_no_rule_about_kinds_of_characters(password: str) -> None:
    check_new(password, "alice", 8)


@pytest.mark.parametrize(("password", "limit"), [("kX9#vLq2mWz", 12), ("the sea was calm " * 16, MAX_LENGTH)])
def test_length_is_bounded_on_both_sides(password: str, limit: int) -> None:
    with pytest.raises(Unprocessable) as caught:
        check_new(password, "alice", 12)
    assert (caught.value.code, caught.value.extra["limit"]) == ("weak_password", limit)


@pytest.mark.parametrize("strange", ["", "a", "\udcff" * 12, "\x00" * 12, "é" * 300, "1" * 65536, "ab" * 32768])
def test_no_text_is_too_strange_to_be_looked_at(strange: str) -> None:
    assert is_common(strange, strange) in {True, False}


async def test_password_is_the_same_however_its_accents_are_typed(redis: Redis, settings: Settings) -> None:
    accounts = Accounts(redis, settings)
    password = "café olé à la façon"
    await accounts.add("alice", unicodedata.normalize("NFD", password))
    assert await accounts.check("alice", unicodedata.normalize("NFC", password)) == "alice"


async def test_every_way_to_set_a_password_looks_at_it(redis: Redis, settings: Settings) -> None:
    accounts = Accounts(redis, settings)
    await accounts.add("alice", GOOD[0])
    for attempt in (accounts.add("bob", COMMON[0]), accounts.set_password("alice", COMMON[0])):
        with pytest.raises(Problem) as caught:
            await attempt
        assert caught.value.code == "common_password"
    assert not await accounts.has("bob")
    assert await accounts.check("alice", GOOD[0]) == "alice"
