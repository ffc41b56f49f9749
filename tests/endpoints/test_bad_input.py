"""What SmartVoice refuses, with which problem, and that nothing is made of it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from app.core.redis import keys
from app.core.settings import Settings
from tests import harmful_files
from tests.support import Client


async def made(redis: Redis, settings: Settings) -> list[Any]:
    """Everything that a request left behind, in Redis and in the storage, but that it was made."""
    storage = settings.data_dir / "storage"
    found = [key for key in await redis.keys("*") if b":rate:" not in key and key != keys.WEBS.encode()]
    return [*found, *(path for path in storage.rglob("*") if path.is_file())]


def file(name: str, content: bytes) -> dict[str, Any]:
    return {"files": {"file": (name, content)}}


def book_with(*rows: harmful_files.Row) -> bytes:
    """A good book with something else in it."""
    return harmful_files.archive(
        [*(harmful_files.Row(name, content) for name, content in harmful_files.epub().items()), *rows]
    )


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "empty text": ({"json": {"text": ""}}, 422, "invalid"),
    "text of spaces": ({"json": {"text": " \n\t "}}, 422, "empty_text"),
    "text of nothing to say": ({"json": {"text": "… — !!"}}, 422, "empty_text"),
    "emoji only": ({"json": {"text": "🎉🎉"}}, 422, "empty_text"),
    "no text": ({"json": {"title": "x"}}, 422, "invalid"),
    "malformed JSON": ({"content": b'{"text": ', "headers": {"Content-Type": "application/json"}}, 400, "bad_json"),
    "deep JSON": (
        {"content": b"[" * 10_000 + b"]" * 10_000, "headers": {"Content-Type": "application/json"}},
        400,
        "bad_json",
    ),
    "list for an object": ({"json": ["text"]}, 422, "invalid"),
    "number for a text": ({"json": {"text": 5}}, 422, "invalid"),
    "unknown field": ({"json": {"text": "Hello.", "admin": True}}, 422, "invalid"),
    "unknown language": ({"json": {"text": "Hello.", "language": "xx"}}, 422, "invalid"),
    "voice that is no name": ({"json": {"text": "Hello.", "voice": "a b\n"}}, 422, "invalid"),
    "endless title": ({"json": {"text": "Hello.", "title": "x" * 10_000}}, 422, "invalid"),
    "lone surrogate": (
        {"content": b'{"text": "\\ud800 hello"}', "headers": {"Content-Type": "application/json"}},
        400,
        "bad_json",
    ),
    "form without a file": ({"files": {"other": ("a.txt", b"Hello.")}}, 422, "no_file"),
    "broken form": (
        {"content": b"garbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        400,
        "bad_form",
    ),
    "form without a boundary": ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "bad_form"),
    "neither form nor JSON": ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "not_json"),
    "binary garbage as txt": (file("a.txt", os.urandom(100_000)), 422, "not_text"),
    "NULs as txt": (file("a.txt", b"\0" * 1000), 422, "not_text"),
    "empty file": (file("a.txt", b""), 422, "empty_text"),
    "empty book": (file("a.epub", b""), 415, "wrong_magic"),
    "garbage as epub": (file("a.epub", os.urandom(1000)), 415, "wrong_magic"),
    "unknown format": (file("a.exe", b"MZ"), 415, "unsupported_format"),
    "book that is cut off": (file("a.epub", harmful_files.archive(harmful_files.epub())[:-30]), 422, "bad_archive"),
    "magic bytes and no more": (file("a.docx", b"PK\x03\x04"), 422, "bad_archive"),
    "document that says it is a book": (
        file("a.epub", harmful_files.archive(harmful_files.docx())),
        415,
        "wrong_magic",
    ),
    "password": (file("a.epub", book_with(harmful_files.Row("a", b"x", flags=1))), 422, "encrypted"),
    "shop's lock": (file("a.epub", book_with(harmful_files.Row("META-INF/license.lcpl", b"{}"))), 422, "encrypted"),
    "name that leads up": (file("a.epub", book_with(harmful_files.Row("../../evil", b"x"))), 422, "unsafe_name"),
    "name from the root": (file("a.epub", book_with(harmful_files.Row("/etc/cron.d/evil", b"x"))), 422, "unsafe_name"),
    "link": (file("a.epub", book_with(harmful_files.Row("a", b"/etc/passwd", mode=0o120777))), 422, "unsafe_name"),
    "archive within": (file("a.epub", book_with(harmful_files.Row("a.zip", b"x"))), 422, "nested_archive"),
    "too many entries": (
        file("a.epub", book_with(*(harmful_files.Row(str(number)) for number in range(10_000)))),
        413,
        "too_many_entries",
    ),
    "zip bomb": (file("a.docx", harmful_files.flat_bomb()), 413, "inflated_too_large"),
    "laughs": (file("a.fb2", harmful_files.fb2("&a9;", harmful_files.LAUGHS)), 422, "unsafe_xml"),
    "laughs in UTF-16": (
        file("a.fb2", harmful_files.fb2("&a9;", harmful_files.LAUGHS).decode().encode("utf-16")),
        422,
        "unsafe_xml",
    ),
    "file of the machine": (file("a.html", f"{harmful_files.XXE}<p>&e;</p>".encode()), 422, "unsafe_xml"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_bad_manuscript_is_refused_and_leaves_nothing(
    alice: Client, redis: Redis, settings: Settings, what: str
) -> None:
    request, status, code = REFUSED[what]
    answer = await alice.http.post("/api/projects", **request)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "detail"} <= answer.json().keys()
    assert await made(redis, settings) == []


@pytest.mark.parametrize("told", [True, False], ids=["its size told", "chunked"])
async def test_upload_of_60_megabytes_is_refused(alice: Client, redis: Redis, settings: Settings, told: bool) -> None:
    sent = 0
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    size = 60 * 1024 * 1024

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield head
        while sent < size:
            yield b"words " * 8192
            sent += 6 * 8192

    headers = {"Content-Type": "multipart/form-data; boundary=x"} | (
        {"Content-Length": str(len(head) + -(-size // 49152) * 49152)} if told else {}
    )
    answer = await alice.http.post("/api/projects", content=body(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert await made(redis, settings) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/projects/unknown", 404, "not_found"),
        ("GET", "/api/projects/%00%0a{}", 404, "not_found"),
        ("POST", "/api/projects/unknown/audio", 404, "not_found"),
        ("POST", "/api/projects/unknown/chapters/unknown/audio", 404, "not_found"),
        ("GET", "/api/jobs/audio-generation/unknown", 404, "not_found"),
        ("GET", "/api/jobs/unknown/unknown", 404, "not_found"),
        ("DELETE", "/api/jobs/audio-generation/unknown", 404, "not_found"),
        ("GET", "/audios/unknown.mp3", 404, "not_found"),
        ("GET", "/audios/..%2f..%2fsecret.mp3", 404, "not_found"),
        ("GET", "/api/unknown", 404, "not_found"),
        ("PUT", "/api/projects", 405, "method_not_allowed"),
        ("GET", "/static/../pyproject.toml", 404, "not_found"),
        ("GET", "/static/%2e%2e/pyproject.toml", 404, "not_found"),
    ],
)
async def test_unknown_name_is_a_clear_problem(alice: Client, method: str, path: str, status: int, code: str) -> None:
    answer = await alice.http.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_text_that_looks_like_markup_or_framing_stays_text(alice: Client) -> None:
    title = "<script>alert(1)</script> \u2028 event: x"
    project = await alice.create("Hello.\n\nevent: x\ndata: y\n\n", title=title)
    assert (await alice.project(project["id"]))["title"] == title


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"\x00\xff\x00\r\n\r\n"])
async def test_what_is_no_http_is_a_clear_problem(address: str, sent: bytes) -> None:
    source, sink = await asyncio.open_connection("127.0.0.1", urlsplit(address).port)
    sink.write(sent)
    async with asyncio.timeout(20):
        head, _, body = (await source.read()).partition(b"\r\n\r\n")
    sink.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["code"] == "bad_http"


@pytest.mark.parametrize("title", ["", " \u3000", "\ufeff", "\x85", "\x00\x1f"])
async def test_title_of_nothing_that_can_be_seen_is_refused(alice: Client, title: str) -> None:
    answer = await alice.http.post("/api/projects", json={"text": "Hello.", "title": title})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("changes", [{"language": None}, {"title": None}])
async def test_project_cannot_lose_its_title_or_language(alice: Client, changes: dict[str, None]) -> None:
    project = await alice.create(title="A book")
    answer = await alice.http.patch(f"/api/projects/{project['id']}", json=changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    kept = await alice.project(project["id"])
    assert (kept["title"], kept["language"]) == ("A book", "en")


async def test_control_characters_in_json_do_not_make_it_another_encoding(alice: Client, settings: Settings) -> None:
    created = await alice.create("\x00H\x00e\x00l\x00l\x00o\x00.")
    stored = settings.data_dir / "storage" / "u-alice" / "projects" / created["id"] / "manuscript"
    assert stored.read_text() == "Hello."
