"""Cookies, other sites, proxies: what a browser is told, and what is believed of a request."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.sessions import Sessions
from app.core.settings import Settings
from app.endpoints.pages import STATIC
from tests.conftest import serve
from tests.support import Client

FRIEND = "https://app.example"
HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "books.example"}


@asynccontextmanager
async def visiting(settings: Settings, **changes: object) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application with these settings."""
    async with (
        serve(settings.model_copy(update=changes)) as address,
        httpx.AsyncClient(base_url=address, trust_env=False, timeout=30) as http,
    ):
        yield http


async def signed_in(http: httpx.AsyncClient, redis: Redis, settings: Settings, **headers: str) -> httpx.Response:
    link = await Sessions(redis, settings).link("alice")
    answer = await http.post("/api/session", json={"link": link}, headers=headers)
    assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
    return answer


def planted(answer: httpx.Response) -> dict[str, str]:
    """The cookies that an answer sets, with their attributes."""
    return {cookie.partition("=")[0]: cookie for cookie in answer.headers.get_list("set-cookie")}


async def test_cookies_over_https_are_bound_to_this_host(redis: Redis, settings: Settings) -> None:
    async with visiting(settings, trusted_proxies="127.0.0.1", allowed_hosts="books.example") as http:
        cookies = planted(await signed_in(http, redis, settings, **HTTPS))
        assert cookies.keys() == {"__Host-smartvoice_session", "__Host-smartvoice_device"}
        for cookie in cookies.values():
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
            assert "domain" not in cookie.lower()
        value = cookies["__Host-smartvoice_session"].split(";")[0]
        good = await http.get("/api/session", headers={**HTTPS, "Cookie": value})
        assert good.status_code == httpx.codes.OK
        # The plain name may have been planted by whoever is on the way, or by a neighbour.
        plain = value.removeprefix("__Host-")
        bad = await http.get("/api/session", headers={**HTTPS, "Cookie": plain})
        assert bad.status_code == httpx.codes.UNAUTHORIZED
        out = await http.delete("/api/session", headers={**HTTPS, "Cookie": value})
        assert "Secure" in planted(out)["__Host-smartvoice_session"]
        assert good.headers["strict-transport-security"].startswith("max-age=")
        assert "strict-transport-security" not in (await http.get("/healthz")).headers


async def test_public_address_that_is_https_is_enough(redis: Redis, settings: Settings) -> None:
    async with visiting(settings, public_url="https://books.example") as http:
        answer = await signed_in(http, redis, settings, Origin="https://books.example")
        assert "__Host-smartvoice_session" in planted(answer)
        assert "strict-transport-security" in answer.headers
        for origin in ("http://books.example", "https://books.example:444", "https://evil.example"):
            refused = await http.post("/api/session", json={"link": "x"}, headers={"Origin": origin})
            assert refused.status_code == httpx.codes.FORBIDDEN, origin


async def test_proxy_that_is_not_trusted_is_not_believed(redis: Redis, settings: Settings) -> None:
    told = {**HTTPS, "X-Forwarded-For": "203.0.113.9"}
    for trusted in ("", "192.0.2.0/24"):
        async with visiting(settings, trusted_proxies=trusted) as http:
            with capture_logs() as lines:
                assert "smartvoice_session" in planted(await signed_in(http, redis, settings, **told))
                own = {"Origin": "https://books.example", **told}
                assert (await http.post("/api/session", json={"link": "x"}, headers=own)).status_code == 403
        assert {line["address"] for line in lines if line.get("logger") == "audit"} == {"127.0.0.1"}


async def test_client_is_the_last_address_that_is_no_trusted_proxys(redis: Redis, settings: Settings) -> None:
    async with visiting(settings, trusted_proxies="127.0.0.0/8, 10.0.0.1") as http:
        with capture_logs() as lines:
            # What stands on the left was written by the client itself.
            for told in ("203.0.113.9", "1.1.1.1, 203.0.113.9", "1.1.1.1, 203.0.113.9, 10.0.0.1"):
                await signed_in(http, redis, settings, **{"X-Forwarded-For": told})
    assert [line["address"] for line in lines if line["event"] == "signed_in"] == ["203.0.113.9"] * 3


async def test_guesses_are_counted_by_the_client_and_not_by_the_proxy(settings: Settings) -> None:
    async with visiting(settings, trusted_proxies="127.0.0.1") as http:

        async def guess(address: str) -> int:
            body = {"username": "alice", "password": "wrong password"}
            answer = await http.post("/api/session", json=body, headers={"X-Forwarded-For": address})
            return answer.status_code

        assert [await guess("203.0.113.9") for _ in range(6)] == [401] * 5 + [429]
        assert await guess("203.0.113.10") == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_change_that_another_site_asks_for_is_refused_and_noted(
    redis: Redis, settings: Settings, headers: dict[str, str]
) -> None:
    async with visiting(settings, cors_origins=FRIEND) as http:
        with capture_logs() as lines:
            await signed_in(http, redis, settings)
            for method, path in (("POST", "/api/projects"), ("DELETE", "/api/session"), ("POST", "/api/session")):
                answer = await http.request(method, path, json={"text": "Hello."}, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
            # Looking is no change; what comes back, another site's page cannot read.
            look = await http.get("/api/session", headers=headers)
            assert look.status_code == httpx.codes.OK
            assert "access-control-allow-origin" not in look.headers
            ours = {"Origin": str(http.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
            assert (await http.post("/api/projects", json={"text": "Hello."}, headers=ours)).status_code == 201
    assert [line["event"] for line in lines if line.get("logger") == "audit"][1:] == ["origin_refused"] * 3


async def test_pages_of_a_listed_site_may_use_the_api_and_others_may_not(redis: Redis, settings: Settings) -> None:
    async with visiting(settings, cors_origins=f"{FRIEND}, http://localhost:3000") as http:
        wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, traceparent"}
        for origin in (FRIEND, "http://localhost:3000"):
            answer = await http.options("/api/events/tickets", headers={"Origin": origin, **wish})
            assert answer.status_code == httpx.codes.OK
            assert answer.headers["access-control-allow-origin"] == origin
        for origin in ("https://evil.example", f"{FRIEND}.evil.example", "null", "http://app.example"):
            answer = await http.options("/api/events/tickets", headers={"Origin": origin, **wish})
            assert answer.status_code == httpx.codes.BAD_REQUEST
            assert "access-control-allow-origin" not in answer.headers
        # A refusal can be read as well.
        answer = await http.get("/api/projects", headers={"Origin": FRIEND})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, FRIEND)
        assert "Origin" in answer.headers["vary"]
        await signed_in(http, redis, settings)
        answer = await http.post("/api/projects", json={"text": "Hi."}, headers={"Origin": FRIEND})
        assert answer.status_code == httpx.codes.CREATED


async def test_stream_for_a_listed_site_flows_as_it_is_written(redis: Redis, settings: Settings) -> None:
    async with visiting(settings, cors_origins=FRIEND) as http:
        await signed_in(http, redis, settings)
        ticket = (await http.post("/api/events/tickets")).json()["ticket"]
        alice = Client(http)
        async with alice.stream(params={"ticket": ticket}, headers={"Origin": FRIEND}) as stream:
            await stream.next("ready")
            await alice.create()
            assert (await stream.next()).event == "parse:progress"


@pytest.mark.parametrize(
    "given",
    [
        {"cors_origins": "*"},
        {"cors_origins": "app.example"},
        {"cors_origins": "https://app.example/"},
        {"cors_origins": "null"},
        {"trusted_proxies": "*"},
        {"trusted_proxies": "proxy.example"},
        {"trusted_proxies": "10.0.0.1/33"},
    ],
)
def test_list_that_would_let_in_anybody_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(**given)  # type: ignore[arg-type] # every one of these settings is a text


async def test_policy_allows_our_own_files_alone(anyone: httpx.AsyncClient) -> None:
    policy = dict(
        part.strip().split(" ", 1)
        for part in (await anyone.get("/")).headers["content-security-policy"].split(";")
        if part.strip()
    )
    assert "unsafe" not in str(policy)
    assert policy["default-src"] == policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    for name in ("object-src", "base-uri", "frame-ancestors"):
        assert policy[name] == "'none'"


@pytest.mark.parametrize("page", sorted(STATIC.rglob("*.html")), ids=lambda page: page.name)
def test_page_has_nothing_inline(page: Path) -> None:
    text = page.read_text()
    assert not re.search(r"<style|\sstyle\s*=|\son\w+\s*=|javascript:|<base", text, re.IGNORECASE)
    assert all("src=" in tag and not body.strip() for tag, body in re.findall(r"<script([^>]*)>(.*?)</script>", text))
    assert not re.search(r"(src|href)=\"(https?:)?//", text)


@pytest.mark.parametrize("script", sorted(STATIC.rglob("*.js")), ids=lambda script: script.name)
def test_script_makes_nothing_inline_nor_takes_text_for_code(script: Path) -> None:
    text = script.read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function\(", text)
    assert not re.search(r"setAttribute\(\s*[\"'](style|on)", text)
