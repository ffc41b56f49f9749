"""What every answer bears, whoever asks for whatever: headers for browsers, the request's id; and what none tells."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Mount, Route

from app.auth.sessions import Sessions
from app.core.etags import EntityTags, is_known
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path
from app.endpoints import static_files
from app.http import responses
from app.routes import ROUTES
from tests.conftest import serve, signed_in
from tests.support import Client
from workers.runtime.metrics_server import _may_see

FRIEND = "https://app.example"
NAME = "-".join(["0" * 20] * 3)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}


def all_routes() -> Iterator[tuple[str, str]]:
    for route in ROUTES:
        if isinstance(route, Route):
            for method in sorted(route.methods or {"GET"}):
                yield method, re.sub(r"\{\w+\}", "0" * 20, route.path)
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/js/signin.js"


def held(answer: httpx.Response) -> None:
    """That the answer bears all that every answer does."""
    held_by_all(answer)
    where = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
    assert "default-src 'self'" in answer.headers["content-security-policy"], where
    assert re.fullmatch(r"[0-9a-f]{20}", answer.headers["x-request-id"]), where
    assert len(answer.headers.get_list("x-request-id")) == 1, where


def held_by_all(answer: httpx.Response) -> None:
    where = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, where
    assert "camera=()" in answer.headers["permissions-policy"], where
    assert not set(answer.headers) & {"server", "last-modified", "x-powered-by"}, where


@pytest.fixture
async def sound(storage: Storage) -> str:
    await storage.put(audio_path("alice", NAME), b"0123456789")
    return f"/audios/{NAME}.mp3"


async def test_answer_of_every_route_bears_them(anyone: httpx.AsyncClient, alice: Client) -> None:
    for method, path in all_routes():
        for http in (anyone, alice.http):
            async with http.stream(method, path) as answer:
                held(answer)


async def test_answer_of_every_kind_bears_them(alice: Client, sound: str) -> None:
    http = alice.http
    whole = await http.get(sound)
    asked: dict[str, dict[str, str]] = {
        sound: {"If-None-Match": whole.headers["etag"]},
        sound + "?part": {"Range": "bytes=0-3"},
        sound + "?beyond": {"Range": "bytes=10-"},
        "/nowhere": {},
        "/static/nowhere.js": {},
        "/static/../app/main.py": {},
        "/static/%00": {},
        "/%00%2f%2e%2e": {},
        "/healthz": {"Host": "evil.example"},
        "/": {"Host": "evil.example"},
        "/openapi.json": {"Accept-Encoding": "gzip"},
        "/docs": {"Accept-Encoding": "gzip"},
        "/api/projects?ticket=x": {},
        "/api/projects?token=x": {},
        "/api/events?after=x": {},
    }
    seen = {}
    for what, headers in asked.items():
        answer = await http.get(what, headers=headers)
        held(answer)
        seen[what] = answer.status_code
    assert {200, 206, 304, 400, 401, 404, 416, 421} <= set(seen.values()), seen
    for method in ("PUT", "OPTIONS", "TRACE", "HEAD"):
        for path in ("/", "/static/js/signin.js", "/api/projects", "/nowhere", sound):
            held(await http.request(method, path))
    # What is no HTTP never reaches the application, and has no id.
    unread = await http.request("FOO", "/")
    held_by_all(unread)
    assert "default-src 'none'" in unread.headers["content-security-policy"]
    async with http.stream("GET", "/api/events", headers={"Accept": "text/event-stream"}) as stream:
        held(stream)


@pytest.fixture
async def mishap(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A server with a bug: in what an endpoint does, and in how refusals are told."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Sessions, "all", fail)
    monkeypatch.setattr(responses, "_note", fail)
    listed = settings.model_copy(update={"cors_origins": FRIEND})
    async with serve(listed) as address, signed_in(address, listed, "alice") as alice:
        yield alice


@pytest.mark.parametrize("path", ["/api/sessions", "/api/projects/none"])
async def test_bug_is_answered_with_them_too(mishap: Client, path: str) -> None:
    sent = {"X-Request-Id": "0123456789abcdef0123", "Origin": FRIEND}
    answer = await mishap.http.get(path, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] == sent["X-Request-Id"]
    assert answer.headers["access-control-allow-origin"] == FRIEND
    assert "bug" not in answer.text
    held(answer)


def known_by(tag: str) -> dict[str, bool]:
    return {
        tag: True,
        f"W/{tag}": True,
        "*": True,
        f'"a", {tag}': True,
        f'"a",W/{tag} , "b"': True,
        f'"with, a comma", {tag}': True,
        '"a"': False,
        "": False,
        tag.strip('"'): False,
        f"{tag[:-1]}": False,
        'W/"a"': False,
        '"*"': False,
    }


@pytest.mark.parametrize("told", known_by('"x"'))
def test_tags_are_compared_weakly(told: str) -> None:
    expected = known_by('"x"')[told]
    assert is_known([told], '"x"') is expected
    assert is_known([told], 'W/"x"') is expected
    assert is_known(['"other"', told], '"x"') is expected


async def test_what_a_client_has_is_not_sent_again_wherever_there_is_a_tag(alice: Client, sound: str) -> None:
    job = (await alice.create())["job"]
    paths = [sound, "/", "/static/js/signin.js", f"/api/jobs/{job['queue']}/{job['id']}"]
    for path in paths:
        tag = (await alice.http.get(path)).headers["etag"]
        for told, known in known_by(tag.removeprefix("W/")).items():
            answer = await alice.http.get(path, headers={"If-None-Match": told})
            assert answer.status_code == (304 if known else 200), (path, told)
            assert answer.headers["etag"] == tag
    assert (await alice.http.get(sound, headers={"Range": "bytes=0-1", "If-Range": 'W/"x"'})).status_code == 200


def test_tag_tells_nothing_of_the_file_system(tmp_path: Path, storage: Storage, settings: Settings) -> None:
    inode = "1a2b3c-5f5e100-a"
    tag = EntityTags(settings.signing_key()).of(inode)
    assert not any(part in tag for part in inode.split("-") if len(part) > 1)
    assert EntityTags(b"another key").of(inode) != tag
    assert EntityTags(settings.signing_key()).of(inode) == tag


def test_tag_of_a_page_is_of_its_content(tmp_path: Path) -> None:
    script = tmp_path / "a.js"
    script.write_text("let a;")
    tags = []
    for changed in (1, 2):
        os.utime(script, (changed, changed))
        scope: dict[str, Any] = {"type": "http", "method": "GET", "headers": []}
        tags.append(static_files.own_file(script, scope).headers["etag"])
    assert tags[0] == tags[1]
    script.write_text("let b;")
    assert static_files.own_file(script, scope).headers["etag"] != tags[0]


async def test_parts_of_pages_are_not_served(anyone: httpx.AsyncClient) -> None:
    for told in ("bytes=0-1", "bytes=" + ",".join("0-" for _ in range(5000)), "bytes=x", "bytes=9999999-"):
        answer = await anyone.get("/static/js/signin.js", headers={"Range": told})
        assert (answer.status_code, answer.headers["accept-ranges"]) == (200, "none")


@pytest.mark.parametrize(
    ("changes", "host", "served"),
    [
        ({}, "127.0.0.1", True),
        ({}, "localhost:8000", True),
        ({}, "LOCALHOST.", True),
        ({}, "books.localhost", True),
        ({}, "192.168.1.7:8000", True),
        ({}, "[fe80::1]:8000", True),
        ({}, "[::1]", True),
        ({}, os.uname().nodename, True),
        ({}, "evil.example", False),
        ({}, "localhost.evil.example", False),
        ({}, "notlocalhost", False),
        ({}, "127.0.0.1.evil.example", False),
        ({}, "evil.example:80@localhost", False),
        ({}, "localhost/evil", False),
        ({}, "a b", False),
        ({}, "\xe9", False),
        ({"public_url": "https://books.example/"}, "books.example", True),
        ({"public_url": "https://books.example/"}, "sub.books.example", False),
        ({"allowed_hosts": "books.example, *.lan"}, "Books.Example:1234", True),
        ({"allowed_hosts": "books.example, *.lan"}, "voice.lan", True),
        ({"allowed_hosts": "books.example, *.lan"}, "lan", False),
        ({"allowed_hosts": "books.example, *.lan"}, "evil-lan", False),
        ({"allowed_hosts": "*"}, "evil.example", True),
    ],
)
async def test_host_is_ours_or_refused(settings: Settings, changes: dict[str, str], host: str, served: bool) -> None:
    set_up = settings.model_copy(update=changes)
    async with serve(set_up) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        answer = await http.get("/api/sign-in-options", headers=[(b"Host", host.encode("latin-1"))])
        assert answer.status_code == (200 if served else 421), answer.text
        if not served:
            assert answer.json()["code"] == "unknown_host"
            held(answer)
        # Who watches over us calls us by any name.
        assert (await http.get("/healthz", headers={"Host": "probe.example"})).status_code == httpx.codes.OK


async def test_metrics_are_told_under_a_loopback_name_alone(settings: Settings) -> None:
    async with serve(settings) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        assert (await http.get("/metrics")).status_code == httpx.codes.OK
        assert (await http.get("/metrics", headers={"Host": "localhost:9"})).status_code == httpx.codes.OK
        for host in ("evil.example", "192.168.1.7", os.uname().nodename + ".example"):
            answer = await http.get("/metrics", headers={"Host": host})
            assert (answer.status_code, answer.json()["code"]) == (403, "not_from_here")


async def test_host_that_a_proxy_tells_is_held_against_the_list(settings: Settings) -> None:
    behind = settings.model_copy(update={"trusted_proxies": "127.0.0.1", "public_url": "https://books.example"})
    async with serve(behind) as address, httpx.AsyncClient(base_url=address, trust_env=False) as http:
        for told, status in (("books.example", 200), ("evil.example", 421), ("evil.example, books.example", 200)):
            answer = await http.get("/api/sign-in-options", headers={"X-Forwarded-Host": told})
            assert answer.status_code == status, told


@pytest.mark.parametrize(
    ("token", "head", "peer", "told"),
    [
        ("", "Host: localhost:9100", "127.0.0.1", True),
        ("", "", "::1", True),
        ("", "Host: evil.example", "127.0.0.1", False),
        ("", "Host: localhost", "192.168.1.7", False),
        ("", "Host: localhost\r\nHost: evil.example", "127.0.0.1", False),
        ("a token of a kind", "Host: workers.example\r\nAuthorization: Bearer a token of a kind", "192.168.1.7", True),
        ("a token of a kind", "Host: localhost", "127.0.0.1", False),
    ],
)
def test_workers_metrics_are_told_as_ours_are(settings: Settings, token: str, head: str, peer: str, told: bool) -> None:
    changed = settings.model_copy(update={"metrics_token": type(settings.metrics_token)(token)})
    assert _may_see(changed, f"GET /metrics HTTP/1.1\r\n{head}\r\n".encode(), peer) is told


async def test_query_of_too_many_fields_is_refused(alice: Client) -> None:
    for path in ("/api/projects", "/api/events", "/auth/oidc/login", "/auth/oidc/callback"):
        answer = await alice.http.get(f"{path}?{'x=&' * 1100}")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_query"), path
