"""Where a request ends is understood in one way or the request is refused: nothing is ever read as another request
after a message that was not wholly understood (RFC 9112, 6.3 and 11.2)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.echo import Echo, Talk, serving

FOREIGN = b"GET /foreign HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /first HTTP/1.1\r\nHost: a\r\n"
CHUNKS = b"5\r\nhello\r\n0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def _fields(*fields: bytes, body: bytes = b"hello") -> bytes:
    return POST + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def _chunks(body: bytes) -> bytes:
    return POST + CHUNKED + b"\r\n" + body


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: a\r\n\r\n"


LENGTHS = [b"+5", b"-5", b"5 5", b"5, 5", b"5,5", b"0x5", b"5a", b"", b"5.0", b"5;", b"\x0b5", b'"5"', b"1e1"]
OVERFLOWS = [b"18446744073709551616", b"18446744073709551621", b"9" * 40]
CODINGS = [
    b"xchunked", b"chunked, identity", b"identity, chunked", b"identity", b"chunked, chunked",
    b"gzip, chunked", b"gzip",
    b'"chunked"', b"chunked;q=1", b"chunked\x0b", b"\x0bchunked", b"chunked\x00", b"", b",chunked", b"chunked,",
    b"chu nked", b"chunk", b"chunked chunked", b"\xa0chunked",
]  # fmt: skip
BAD_CHUNKS = [
    b"5 ;a\r\nhello\r\n0\r\n\r\n", b'5;a="\n"\r\nhello\r\n0\r\n\r\n', b"5;a\nhello\r\n0\r\n\r\n",
    b"5;a\rhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n", b"5\rhello\r0\r\r", b"5 \r\nhello\r\n0\r\n\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"-5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5h\r\nhello\r\n0\r\n\r\n", b"\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n",
    b"5\r\nhello\n0\r\n\r\n",
    b"5\r\nhello\r0\r\n\r\n", b"5;\x00\r\nhello\r\n0\r\n\r\n", b"5;a=\xff\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 7\r\n\r\n", b"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX : y\r\n\r\n", b"5\r\nhello\r\n0\r\nX: y\n\r\n",
]  # fmt: skip
BAD_FIELDS = [
    b"X: a\r\n b", b"X: a\r\n\tb", b" X: a", b"X : a", b"X\t: a", b"Content-Length : 5",
    b"Transfer-Encoding : chunked",
    b"X: a\nY: b", b"X: a\rY: b", b"X: a\x00b", b"X\x00: a", b": a", b"X", b"X: \x01", b"X: \x7f",
    b"Content-Length:\r\n 5",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: chunked\r\n , identity", b"X(: a", b"X@y: a", b"X\xc4: a",
    b"Host: b", b"Content-Length: 5\nX: y", b"X: a\r\r",
]  # fmt: skip
BAD_LINES = [
    b"GET evil:443 HTTP/1.1", b"CONNECT evil:443 HTTP/1.1", b"CONNECT /first HTTP/1.1", b"GET /first y HTTP/1.1",
    b"GET /first\ty HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET /\x00 HTTP/1.1", b"get /first HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"GET /first HTTP/2.0", b"GET /first HTTP/0.9", b"GET /first HTTP/1.2", b"GET /first HTTP/1.10",
    b"GET /first HTTP/11",
    b"GET /first http/1.1", b"GET /first HTTP/3.0", b"GET /first", b"GET /first HTTP/1.1\nX: y",
    b"GET /first HTTP/1.1\rX: y",
    b" GET /first HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00", b"GET first HTTP/1.1",
]  # fmt: skip

REFUSED = [
    _fields(b"Content-Length: 5", b"Content-Length: 5"),
    _fields(b"Content-Length: 5", b"Content-Length: 6"),
    _fields(b"Content-Length: 13", CHUNKED.strip(), body=CHUNKS),
    _fields(CHUNKED.strip(), b"Content-Length: 13", body=CHUNKS),
    _fields(CHUNKED.strip(), CHUNKED.strip(), body=CHUNKS),
    _fields(CHUNKED.strip(), b"Transfer-Encoding: identity", body=CHUNKS),
    _fields(b"Transfer-Encoding: identity", CHUNKED.strip(), body=CHUNKS),
    _fields(b"transfer-encoding: gzip", CHUNKED.strip(), body=CHUNKS),
    *(_fields(b"Content-Length: " + length) for length in LENGTHS + OVERFLOWS),
    *(_fields(b"Transfer-Encoding: " + coding, body=CHUNKS) for coding in CODINGS),
    *(_fields(b"Content-Length: 5", b"Transfer-Encoding: " + coding) for coding in CODINGS),
    *(_chunks(chunks) for chunks in BAD_CHUNKS),
    *(_fields(bad, b"Content-Length: 5") for bad in BAD_FIELDS),
    *(_line(line) for line in BAD_LINES),
    b"POST /first HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"POST /first HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"GET /first HTTP/1.1\r\n\r\n",
    b"GET /first HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    b"GET /first HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET http://b/first HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://a:81/first HTTP/1.0\r\nHost: a\r\n\r\n",
    b"GET http://a@b/first HTTP/1.1\r\nHost: a\r\n\r\n",
]

UPGRADES = [b"h2c", b"websocket", b"TLS/1.0", b"foo/2", b"h2c, websocket", b"HTTP/1.1", b"x"]
SERVED = {
    _fields(b"Content-Length: 5"): b"hello",
    _fields(b"content-length: \t5 "): b"hello",
    _fields(b"Content-Length: 005"): b"hello",
    _fields(CHUNKED.strip(), body=CHUNKS): b"hello",
    _fields(b"TRANSFER-ENCODING:\tCHUNKED", body=CHUNKS): b"hello",
    _chunks(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"): b"hello",
    _chunks(b'5;a="b c"\r\nhello\r\n0\r\n\r\n'): b"hello",
    _chunks(b"0005\r\nhello\r\n000\r\n\r\n"): b"hello",
    _chunks(b"1\r\nh\r\n4\r\nello\r\n0\r\nX-Trailer: y\r\n\r\n"): b"hello",
    _chunks(b"5\r\nhello\r\n0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"): b"hello",
    _fields(b"Content-Length: 5", b"Expect: something"): b"hello",
    b"\r\n\r\n" + _fields(b"Content-Length: 5"): b"hello",
    b"POST http://a/first HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello": b"hello",
    _fields(b"Content-Length: 5", b"Upgrade: h2c"): b"hello",
    _fields(b"Content-Length: 5", b"Connection: Upgrade"): b"hello",
    **{_fields(b"Connection: Upgrade", b"Upgrade: " + name, b"Content-Length: 5"): b"hello" for name in UPGRADES},
    **{_fields(b"Upgrade: " + n, b"connection: upgrade", CHUNKED.strip(), body=CHUNKS): b"hello" for n in UPGRADES},
    _fields(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", body=b""): b"",
    _fields(b"Connection: keep-alive", b"connection: upgrade", b"Upgrade: x", b"Upgrade: y", body=b""): b"",
}  # fmt: skip
UPGRADES_REFUSED = [
    _fields(b"Connection: Upgrade", b"Upgrade: x", b"Transfer-Encoding: identity"),
    _fields(b"Connection: Upgrade", b"Upgrade: x", b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    _fields(b"Connection: Upgrade", b"Upgrade: x", CHUNKED.strip(), body=b"5\r\nhelloX\r\n0\r\n\r\n"),
    _fields(b"Connection: Upgrade", b"Upgrade: x", CHUNKED.strip(), b"Content-Length: 5"),
    b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    b"POST /first HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /first HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
]
CLOSED = [
    _fields(b"Connection: close", b"Content-Length: 5"),
    _fields(b"Connection: close, upgrade", b"Upgrade: h2c", b"Content-Length: 5"),
    b"POST /first HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /first HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /first HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhello",
]


@pytest.fixture(scope="module")
def server() -> Iterator[Echo]:
    with serving(Echo()) as echo:
        yield echo


@pytest.fixture
def echo(server: Echo) -> Echo:
    server.requests.clear()
    server.begun.clear()
    return server


def talk(echo: Echo, sent: bytes, piece: int) -> bytes:
    """What comes back for these bytes with a foreign request behind them, up to the end of the connection."""
    connection = Talk(echo)
    try:
        connection.send(sent + FOREIGN, piece)
        return connection.read()
    finally:
        connection.close()


@pytest.mark.parametrize("piece", [0, 7], ids=["together", "in pieces"])
@pytest.mark.parametrize("sent", REFUSED + UPGRADES_REFUSED, ids=repr)
def test_what_is_not_wholly_understood_is_refused_and_nothing_after_it_is_read(
    echo: Echo, sent: bytes, piece: int
) -> None:
    answer = talk(echo, sent, piece)
    assert echo.requests == []
    assert "/foreign" not in echo.begun
    assert answer == b"" or (answer.startswith(b"HTTP/1.1 400 ") and b"bad_http" in answer), answer
    assert answer.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize("piece", [0, 1, 7], ids=["together", "byte by byte", "in pieces"])
@pytest.mark.parametrize("sent", SERVED, ids=repr)
def test_what_is_understood_is_served_whole_and_so_is_the_next(echo: Echo, sent: bytes, piece: int) -> None:
    answer = talk(echo, sent, piece)
    assert [(request.path, request.body) for request in echo.requests] == [("/first", SERVED[sent]), ("/foreign", b"")]
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert b"<%b>" % SERVED[sent] in answer
    # A trailer is no field of the head: what a proxy checks cannot be brought in behind the body.
    assert not {b"x-trailer", b"upgrade"} & {name for name, _ in echo.requests[0].headers} - {b"upgrade"}


@pytest.mark.parametrize("piece", [0, 7], ids=["together", "in pieces"])
@pytest.mark.parametrize("sent", CLOSED, ids=repr)
def test_after_the_last_request_nothing_is_read(echo: Echo, sent: bytes, piece: int) -> None:
    answer = talk(echo, sent, piece)
    assert [(request.path, request.body) for request in echo.requests] == [("/first", b"hello")]
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in answer


ENDLESS = [_chunks(b"ffffffffffffffff\r\nhello"), _fields(b"Content-Length: 18446744073709551615")]


@pytest.mark.parametrize("piece", [0, 7], ids=["together", "in pieces"])
@pytest.mark.parametrize("sent", ENDLESS, ids=repr)
def test_body_of_any_size_takes_what_follows_for_its_own(echo: Echo, sent: bytes, piece: int) -> None:
    connection = Talk(echo)
    connection.send(sent + FOREIGN, piece)
    connection.finish()
    answer = connection.read()
    connection.close()
    assert not answer.startswith(b"HTTP/1.1 2")
    assert (echo.requests, echo.begun) == ([], ["/first"])
