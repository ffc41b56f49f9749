"""Whatever stands in a header, a cookie, a query, a path or a number: refused or left out of account, never a bug."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle

import pytest

from app.core.settings import Settings
from tests.conftest import serve, signed_in

PROJECT = "/api/projects/00000000000000000000"
JOB = "/api/jobs/audio-generation/00000000000000000000"
JUNK = [
    b"",
    b" ",
    b"\xff\xfe",
    "é".encode(),
    "\ud800".encode("utf-8", "surrogatepass"),
    "٣".encode(),
    b"\x80" * 300,
    b"," * 5000,
    b";" * 5000,
    b"=" * 5000,
    b'"' * 5001,
    b"9" * 5000,
    b"-1",
    b"1e999",
    b"NaN",
    b"-Infinity",
    b"0x10",
    b"1_000",
    b"a" * 20_000,
    b"%",
    b"%00",
    b"%ff%fe",
    b"%ed%a0%80",
    b"\\u0000",
    b"{" * 5000,
    b"(" * 5000,
    b"*/*;q=" * 2000,
    b"bytes=" + b"0-1," * 5000,
    b"bytes=" + b"9" * 400 + b"-",
    b"bytes=0-" + b"9" * 400,
    b"wait=" + b"9" * 5000,
    b"wait=1e999",
    b"wait=-1",
    b"Bearer " + b"." * 8000,
    b"Bearer \xff",
    b"Basic Og==",
    b"Bearer",
    b"00-" + b"f" * 32 + b"-" + b"f" * 16 + b"-ff",
    b"smartvoice_session=",
    b"smartvoice_session=" + b"%00" * 1000,
    b"smartvoice_session=\xff; smartvoice_device=\xff",
    b"a=b; " * 4000,
    b'$Version="1"; smartvoice_session="\\377"',
    b"http://[",
    b"http://\xff",
    b"https://a:99999999999999999999",
    b"//",
    b"1-1-1",
    b"99999999999999999999-99999999999999999999",
]
NAMES = [
    *("accept", "accept-encoding", "accept-language", "authorization", "content-type", "cookie", "expect", "host"),
    *("idempotency-key", "if-match", "if-none-match", "if-modified-since", "if-range", "last-event-id", "origin"),
    *("prefer", "range", "referer", "sec-fetch-site", "traceparent", "tracestate", "user-agent", "x-request-id"),
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "access-control-request-method", "te", "via"),
    *("access-control-request-headers", "content-encoding", "cache-control", "forwarded"),
]
QUERIES = ["after", "wait", "project", "ticket", "token", "status", "lastEventId", "next", "state", "code", "x"]
PATHS = [
    *("/%00", "/%2e%2e/%2e%2e/etc/passwd", "/static/%2e%2e/app/main.py", "/static/..%2f..%2fapp", "/static/%00.js"),
    *("/static//etc/passwd", "/static/js", "/static/js/", "/static/%ff", "/static/" + "a" * 5000, "/static/a%0d%0ab"),
    *("/projects/%00", "/projects/%2f", "/projects/%ff", "/projects/" + "a" * 5000, "//evil.example/", "/\\evil"),
    *(
        "/audios/%00.mp3",
        "/audios/%2e%2e%2f.mp3",
        "/books/%00.m4b",
        "/books/a%2fb.zip",
        "/api/jobs/x/y",
        "/api/jobs/%00/y",
    ),
    *("/api/projects/%00", "/api/projects/%ed%a0%80", "/api/projects/..%2f", "/api/projects/{}", "/api/projects/*"),
    *("/api/sessions/%00", "/api/sessions/%ff", "/;/", "/?" + "a=b&" * 5000, "/api/events?" + "project=x&" * 3000),
    *("/auth/oidc/callback?" + "a&" * 5000, "/auth/oidc/login?next=" + "x" * 50_000, "/api/events?after=%00"),
]
NUMBERS = [
    *("1e999", "-1e999", "NaN", "Infinity", "-0", "1" + "0" * 400, "1" * 5000, "0.5e-400", "1.5", "true", "null"),
    *('"1"', '"\\ud800"', '"\\u0000"', '"\\u202e"', "[]", "{}", "[[" * 200 + "]]" * 200, '"' + "x" * 70_000 + '"'),
    *('{"a":1,"a":2}', "9223372036854775808", "-9223372036854775809", "1e-999", "01", "+1", ".5", "1."),
]
FIELDS = {
    ("PATCH", PROJECT): ["title", "voice", "language", "speed", "dialogueVoice", "pronunciations", "x"],
    ("PATCH", f"{PROJECT}/chapters/00000000000000000000"): ["title", "text", "voice", "speed"],
    ("POST", f"{PROJECT}/chapters/00000000000000000000/split"): ["offset"],
    ("POST", f"{PROJECT}/chapters/00000000000000000000/audio"): ["language", "redo"],
    ("POST", f"{PROJECT}/audio"): ["language"],
    ("POST", f"{PROJECT}/book"): ["format", "allowMissing", "language"],
    ("POST", "/api/projects"): ["title", "text", "language", "voice"],
    ("POST", "/api/events/tickets"): ["projects"],
    ("POST", "/api/session"): ["username", "password", "link"],
}


def heads() -> Iterator[bytes]:
    """Requests of which one thing is junk, as they go over the wire."""
    # Each header with all junk, at one address or another: at all of them it would take a minute.
    paths = cycle(("/api/projects", "/api/events?wait=0", JOB, "/", "/static/js/signin.js"))
    for name in NAMES:
        for junk in JUNK:
            yield request("GET", next(paths), [(name, junk)])
    for name in QUERIES:
        for junk in JUNK:
            quoted = b"".join(b"%%%02x" % byte for byte in junk)
            path = "/auth/oidc/callback" if name in {"state", "code", "next"} else "/api/events"
            yield request("GET", f"{path}?{name}={quoted.decode()}", [("accept", b"application/json")])
    for path in PATHS:
        yield request("GET", path)
    for method in ("POST", "DELETE"):
        for name in ("content-type", "idempotency-key", "origin", "authorization"):
            for junk in JUNK:
                yield request(method, f"{PROJECT}/chapters/0/audio", [(name, junk)], b"{}")


def bodies() -> Iterator[bytes]:
    for (method, path), fields in FIELDS.items():
        for field in fields:
            for number in NUMBERS:
                body = f'{{"{field}": {number}}}'.encode()
                yield request(method, path, [("content-type", b"application/json")], body)


def request(method: str, path: str, more: list[tuple[str, bytes]] | None = None, body: bytes = b"") -> bytes:
    fields = {"host": b"localhost", "authorization": b"TOKEN", "content-length": str(len(body)).encode()}
    fields |= dict(more or ())
    head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n".encode() + head + b"connection: close\r\n\r\n" + body


async def status(port: int, sent: bytes) -> int:
    """The status of the answer; the connection may be closed before all was sent."""
    source, sink = await asyncio.open_connection("127.0.0.1", port)
    try:
        sink.write(sent)
        async with asyncio.timeout(20):
            line = await source.readline()
        return int(line.split()[1]) if line else 0
    except ConnectionError:
        return 0
    finally:
        sink.transport.abort()


@pytest.mark.parametrize("which", ["heads", "bodies"])
async def test_no_junk_is_a_bug(settings: Settings, which: str) -> None:
    generous = settings.model_copy(update={"max_changes_per_minute": 100_000, "max_uploads_per_minute": 100_000})
    async with serve(generous) as address, signed_in(address, generous, "alice") as alice:
        token = alice.http.headers["authorization"].encode()
        port = int(address.rpartition(":")[2])
        wrong = []

        async def send(made: Iterator[bytes]) -> None:
            for sent in made:
                code = await status(port, sent.replace(b"TOKEN", token, 1))
                if not 200 <= code < 500:
                    wrong.append((code, sent[:200]))

        made = heads() if which == "heads" else bodies()
        await asyncio.gather(*(send(made) for _ in range(8)))
        assert not wrong, (len(wrong), wrong[:20])
