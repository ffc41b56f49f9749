"""What a client may do with a connection: send ahead, stop sending, be old, be slow, come many times."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from app.server.connections import ConnectionLimits
from tests.server.echo import Echo, Talk, serving, wait

LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n"
QUICK = ConnectionLimits(head_seconds=0.5, body_seconds=1, min_body_rate=200, send_timeout_seconds=1, idle_seconds=2)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with serving(Echo()) as echo:
        yield echo


@pytest.fixture(scope="module")
def quick() -> Iterator[Echo]:
    """A server that soon loses patience."""
    with serving(Echo(), QUICK, timeout_keep_alive=1) as echo:
        yield echo


def _get(path: str, version: str = "1.1") -> bytes:
    return f"GET {path} HTTP/{version}\r\nHost: a\r\n\r\n".encode()


def test_requests_sent_ahead_are_answered_in_order(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(SLOW + _get("/unsized") + LAST)
    assert wait(lambda: echo.begun == ["/slow"])
    echo.released.set()
    answer = connection.read()
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert echo.begun == ["/slow", "/unsized", "/last"]


@pytest.mark.parametrize("garbage", [b"\x00\x01\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"])
def test_what_is_no_request_does_not_break_into_the_answer_before_it(echo: Echo, garbage: bytes) -> None:
    connection = Talk(echo)
    connection.send(SLOW)
    assert wait(lambda: echo.begun)
    connection.send(garbage + LAST)
    assert wait(lambda: echo.received == len(SLOW + garbage + LAST))
    echo.released.set()
    answer = connection.read()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.endswith(b"\r\n\r\n<>")
    assert echo.begun == ["/slow"]


def test_body_that_breaks_behind_another_request_takes_its_request_with_it(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(SLOW + b"POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX" + LAST)
    assert wait(lambda: echo.begun)
    echo.released.set()
    assert connection.read().count(b"HTTP/1.1 200 OK") == 1
    assert echo.begun == ["/slow"]


def test_request_is_told_that_its_client_left_though_another_waits_behind_it(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(SLOW + LAST)
    assert wait(lambda: echo.begun)
    connection.reset()
    assert wait(lambda: echo.left == ["/slow"])
    assert echo.begun == ["/slow"]


def test_more_requests_ahead_than_anybody_sends_are_not_taken(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(SLOW + _get("/ahead") * 300)
    assert wait(lambda: echo.begun)
    echo.released.set()
    assert 100 <= connection.read().count(b"HTTP/1.1 200 OK") <= 103


def test_request_whose_body_breaks_gets_one_answer(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(b"POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert wait(lambda: echo.begun)
    connection.send(b"nonsense\r\n" + LAST)
    assert connection.read().count(b"HTTP/1.1 ") == 1
    assert wait(lambda: echo.left == ["/bad"])


def test_client_that_stops_sending_gets_all_its_answers(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(SLOW + _get("/unsized"))
    connection.finish()
    assert wait(lambda: echo.begun)
    echo.released.set()
    answer = connection.read()
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("sent", [b"", b"GET / HT", POST + b"half"])
def test_client_that_stops_sending_in_a_request_is_let_go(echo: Echo, sent: bytes) -> None:
    connection = Talk(echo)
    connection.send(sent)
    connection.finish()
    assert not connection.read().startswith(b"HTTP/1.1 2")
    assert echo.requests == []


@pytest.mark.parametrize("path", ["/unsized", "/sized"])
def test_http_1_0_gets_a_body_without_chunks_that_ends_with_the_connection(echo: Echo, path: str) -> None:
    connection = Talk(echo)
    connection.send(_get(path, "1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
    head, _, body = connection.read().partition(b"\r\n\r\n")
    assert body == b"<>"
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head


def test_http_1_0_is_never_asked_to_continue(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(POST.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\nExpect: 100-continue\r\n") + b"x" * 40000)
    assert connection.read().startswith(b"HTTP/1.1 200 OK")


def test_who_expects_it_is_told_to_continue_before_the_body_comes(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-Continue\r\n\r\n"))
    assert connection.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.send(b"x" * 40000 + LAST)
    assert connection.read().count(b"HTTP/1.1 200 OK") == 2


def test_chunks_that_bring_nothing_are_not_read_for_ever(echo: Echo) -> None:
    connection = Talk(echo)
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 200_000, 50_000)
    assert connection.read().startswith(b"HTTP/1.1 400 ")


def test_trailers_without_end_are_not_read_for_ever(echo: Echo) -> None:
    connection = Talk(echo)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    connection.send(head + b"X-Trailer: x\r\n" * 20_000, 50_000)
    assert connection.read().startswith(b"HTTP/1.1 400 ")


def _drip(connection: Talk, echo: Echo, part: bytes) -> bool:
    """Whether the server ends a connection on which a part comes again and again."""
    lost, deadline = echo.lost, time.monotonic() + 15
    while echo.lost == lost and time.monotonic() < deadline:
        connection.send(part)
        time.sleep(0.05)
    return echo.lost > lost


@pytest.mark.parametrize(
    ("begin", "part", "status"),
    [
        (b"", b"", b""),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"", b"408"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: x\r\n", b"408"),
        (b"", b"\r\n", b""),
        (POST, b"x", b"408"),
        (POST + b"x" * 3000, b"", b"408"),
        (SLOW.replace(b"slow", b"next"), b"", b"200"),
        (SLOW.replace(b"slow", b"next"), b"\r\n", b"200"),
    ],
    ids=["silence", "half a head", "dripping head", "lines", "dripping body", "half a body", "idle", "idle with lines"],
)
def test_who_is_too_slow_is_let_go(quick: Echo, begin: bytes, part: bytes, status: bytes) -> None:
    connection = Talk(quick)
    connection.send(begin)
    assert _drip(connection, quick, part)
    assert connection.read()[9:12] == status
    # Others get in.
    another = Talk(quick)
    another.send(LAST)
    assert another.read().startswith(b"HTTP/1.1 200 OK")


def test_slow_but_honest_body_is_taken(quick: Echo) -> None:
    connection = Talk(quick)
    connection.send(POST.replace(b"POST /post", b"POST /honest"))
    for _ in range(40):
        connection.send(b"x" * 1000)
        time.sleep(0.07)  # 2.8 s in all: several times the time over which the rate is looked at
    connection.send(LAST)
    assert connection.read().count(b"HTTP/1.1 200 OK") == 2


def test_who_takes_no_answer_is_cut_off(quick: Echo) -> None:
    lost, connection = quick.lost, Talk(quick)
    connection.send(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 20_000_000)
    assert wait(lambda: quick.lost > lost)


def test_connections_of_one_address_are_bounded_and_given_back() -> None:
    with serving(Echo(), ConnectionLimits(max_connections_per_address=3)) as echo:
        talks = [Talk(echo) for _ in range(4)]
        answer = talks[-1].read()
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"too_many_connections" in answer
        assert b"retry-after: 5" in answer
        for talk in talks[:3]:
            talk.send(LAST)
            assert talk.read().startswith(b"HTTP/1.1 200 OK")
        again = Talk(echo)
        again.send(LAST)
        assert again.read().startswith(b"HTTP/1.1 200 OK")


def test_trusted_addresses_are_not_bounded_but_all_together_are() -> None:
    limits = ConnectionLimits(max_connections_per_address=1, max_connections=4, trusted=("127.0.0.0/8",))
    with serving(Echo(), limits) as echo:
        talks = [Talk(echo) for _ in range(5)]
        assert talks[-1].read().startswith(b"HTTP/1.1 503 ")
        for talk in talks[:4]:
            talk.send(LAST)
            assert talk.read().startswith(b"HTTP/1.1 200 OK")
