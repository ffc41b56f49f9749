"""Signing in at a real OpenID provider, and out again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import ValidationError
from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.auth.disabled_users import DisabledUsers
from app.auth.oidc import Provider
from app.auth.sealed_box import seal, unseal
from app.auth.signin_throttle import BEGUN
from app.auth.site_urls import MAX_PATH, path_on_site
from app.auth.user_ids import outsider_id
from app.core.errors import BadRequest, Unavailable
from app.core.redis import keys
from app.core.settings import Settings
from tests.auth.provider import CLIENT_ID, CLIENT_SECRET, Person, ProviderProcess, providing
from tests.conftest import serve
from tests.stack import free_port
from tests.support import Client, until


@pytest.fixture
def oidc(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    changes = {
        "oidc_issuer": f"http://127.0.0.1:{free_port()}",
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": type(settings.secret_key)(CLIENT_SECRET),
        "oidc_name": "Example",
    }
    return settings.model_copy(update=changes)


@pytest.fixture
async def site(oidc: Settings) -> AsyncIterator[str]:
    async with serve(oidc) as address:
        yield address


@pytest.fixture
async def provider(oidc: Settings, site: str, tmp_path: Path) -> AsyncIterator[ProviderProcess]:
    async with providing(urlsplit(oidc.oidc_issuer).port or 0, site, tmp_path) as provider:
        yield provider


@asynccontextmanager
async def browser(site: str, name: str = "carol") -> AsyncIterator[Person]:
    async with httpx.AsyncClient(base_url=site, trust_env=False, timeout=30) as http:
        yield Person(http, name)


async def test_sign_in_and_out_again_at_the_provider(oidc: Settings, site: str, provider: ProviderProcess) -> None:
    with capture_logs() as lines:
        async with browser(site) as carol:
            asked = await carol.http.get("/auth/oidc/login?next=/projects/abc")
            query = parse_qs(urlsplit(asked.headers["location"]).query)
            assert query["code_challenge_method"] == ["S256"]
            assert query.keys() >= {"state", "nonce", "code_challenge"}
            back = await carol.go("/auth/oidc/login?next=/projects/abc", f"{site}/projects/abc")
            assert back.status_code == httpx.codes.SEE_OTHER
            assert "HttpOnly" in back.headers["set-cookie"]
            me = (await carol.http.get("/api/session")).json()
            assert me == {
                "user": outsider_id(oidc.oidc_issuer, "carol"),
                "name": "carol of the provider",
                "signOutUrl": "/auth/oidc/logout",
            }
            kept = {"Cookie": f"smartvoice_session={carol.http.cookies['smartvoice_session']}"}
            project = await Client(carol.http).create()
            assert (await carol.http.get(f"/api/projects/{project['id']}")).status_code == httpx.codes.OK
            async with Client(carol.http).stream() as stream:
                await stream.next("ready")
                out = await carol.http.get("/auth/oidc/logout")
                await stream.ends()
            assert out.headers["location"].startswith(oidc.oidc_issuer)
            assert "id_token_hint" in parse_qs(urlsplit(out.headers["location"]).query)
            assert (await carol.http.get("/api/session", headers=kept)).status_code == httpx.codes.UNAUTHORIZED
            await carol.go(out.headers["location"], f"{site}/signin")
            # Signed out there as well: one is asked for one's name again.
            asked = await carol.http.get((await carol.http.get("/auth/oidc/login")).headers["location"])
            assert "/interaction/" in asked.headers["location"]
    told = [(line["event"], line["reason"]) for line in lines if line.get("logger") == "audit"]
    assert told[:2] == [("signed_in", "oidc"), ("signed_out", "oidc")]


async def test_name_of_a_local_account_is_somebody_else(site: str, provider: ProviderProcess) -> None:
    async with browser(site, "alice") as outsider:
        await outsider.signs_in(site)
        assert (await outsider.http.get("/api/session")).json()["user"].endswith("!alice")
    async with browser(site, "nameless") as nameless:
        await nameless.signs_in(site)
        assert (await nameless.http.get("/api/session")).json()["name"] == "nameless"


async def test_answer_is_good_once_and_in_the_browser_that_asked(site: str, provider: ProviderProcess) -> None:
    async with browser(site) as carol, browser(site) as mallory, browser(site) as nobody:
        back = await carol.go("/auth/oidc/login", f"{site}/auth/oidc/callback")
        callback = back.headers["location"]
        # Mallory would have others sign in as him, or sign in as carol by her answer.
        await mallory.http.get("/auth/oidc/login")
        for thief in (mallory, nobody):
            answer = await thief.http.get(callback)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_state")
        answer = await carol.http.get(callback)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_state")
        fresh = (await carol.go("/auth/oidc/login", f"{site}/auth/oidc/callback")).headers["location"]
        assert (await carol.http.get(fresh)).status_code == httpx.codes.SEE_OTHER
        assert (await carol.http.get(fresh)).status_code == httpx.codes.BAD_REQUEST


async def test_what_the_provider_refuses_is_no_sign_in(site: str, provider: ProviderProcess) -> None:
    async with browser(site) as carol:
        for query in ("error=access_denied", "code=invented", "code=x&iss=https://other.example"):
            asked = await carol.http.get("/auth/oidc/login")
            [state] = parse_qs(urlsplit(asked.headers["location"]).query)["state"]
            answer = await carol.http.get(f"/auth/oidc/callback?{query}&state={state}")
            assert (answer.status_code, answer.json()["code"]) == (401, "provider_refused"), query
            assert "smartvoice_session" not in answer.headers.get("set-cookie", "")
        for query in ("", "state=invented&code=x", "code=x"):
            assert (await carol.http.get(f"/auth/oidc/callback?{query}")).json()["code"] == "bad_state"


async def test_disabled_person_is_not_let_in_by_the_provider(
    oidc: Settings, site: str, provider: ProviderProcess, redis: Redis
) -> None:
    await DisabledUsers(redis).disable(outsider_id(oidc.oidc_issuer, "carol"))
    async with browser(site) as carol:
        back = await carol.go("/auth/oidc/login", f"{site}/auth/oidc/callback")
        people = {"Accept": "text/html"}
        answer = await carol.http.get(back.headers["location"], headers=people)
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin?problem=account_disabled")


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
async def test_provider_that_is_away_is_503_and_the_others_sign_in(
    site: str, provider: ProviderProcess, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("app.auth.oidc._PATIENCE_SECONDS", 0.5)
    provider.stop() if fault == "stopped" else provider.freeze()
    async with browser(site) as carol:
        answer = await carol.http.get("/auth/oidc/login")
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        people = await carol.http.get("/auth/oidc/login", headers={"Accept": "text/html,*/*"})
        assert people.headers["location"] == "/signin?problem=provider_unavailable"
        assert (await carol.http.get("/api/sign-in-options")).json()["oidc"]["name"] == "Example"
        provider.stop()
        await provider.start()
        monkeypatch.undo()

        async def again() -> bool:
            return (await carol.http.get("/auth/oidc/login")).status_code == httpx.codes.FOUND

        await until(again)


async def test_sign_ins_that_begin_are_counted_by_address(oidc: Settings) -> None:
    """There is no provider here: whoever is refused reaches nobody, and leaves nothing behind."""
    async with serve(oidc.model_copy(update={"trusted_proxies": "127.0.0.1"})) as site, browser(site) as carol:
        codes = []
        for _ in range(BEGUN.burst + 1):
            answer = await carol.http.get("/auth/oidc/login", headers={"X-Forwarded-For": "203.0.113.1"})
            codes.append(answer.status_code)
        assert codes == [503] * BEGUN.burst + [429]
        assert answer.json()["code"] == "too_many_sign_ins"
        assert int(answer.headers["retry-after"]) > 0
        other = await carol.http.get("/auth/oidc/login", headers={"X-Forwarded-For": "203.0.113.2"})
        assert other.status_code == httpx.codes.SERVICE_UNAVAILABLE


async def test_sign_ins_that_are_remembered_are_bounded(
    oidc: Settings, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.auth.oidc.MAX_BEGUN", 2)
    provider = Provider(oidc, redis)
    for state in "ab":
        await provider._keep(keys.oidc(state), '{"browser": ""}')
    with pytest.raises(Unavailable) as caught:
        await provider._keep(keys.oidc("c"), "{}")
    assert caught.value.code == "too_busy"
    # One that has ended makes room, as one that is too old does.
    with pytest.raises(BadRequest):
        await provider.finish({"state": "a"}, "a browser")
    await provider._keep(keys.oidc("c"), "{}")
    assert await redis.zcard(keys.OIDC_BEGUN) == 2
    await redis.zadd(keys.OIDC_BEGUN, {keys.oidc("b"): 1.0})
    await provider._keep(keys.oidc("d"), "{}")


async def test_provider_that_calls_itself_otherwise_is_not_believed(oidc: Settings, provider: ProviderProcess) -> None:
    other = oidc.model_copy(update={"oidc_issuer": oidc.oidc_issuer.replace("127.0.0.1", "localhost")})
    async with serve(other) as site, browser(site) as carol:
        answer = await carol.http.get("/auth/oidc/login")
    assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")


async def test_nobody_is_signed_out_by_another_site(site: str, provider: ProviderProcess) -> None:
    async with browser(site) as carol:
        await carol.signs_in(site)
        foreign = await carol.http.get("/auth/oidc/logout", headers={"Sec-Fetch-Site": "cross-site"})
        assert foreign.status_code == httpx.codes.FORBIDDEN
        assert (await carol.http.get("/api/session")).status_code == httpx.codes.OK


async def test_without_a_provider_there_is_nothing_of_it(anyone: httpx.AsyncClient) -> None:
    for path in ("login", "callback", "logout"):
        for accept in ("*/*", "text/html"):
            answer = await anyone.get(f"/auth/oidc/{path}", headers={"Accept": accept})
            assert answer.status_code == httpx.codes.NOT_FOUND
    assert (await anyone.get("/api/sign-in-options")).json() == {"password": True, "oidc": None}


@pytest.mark.parametrize(
    "wanted",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)"),
        *("/\t/evil.example", "\t//evil.example", "/\n/evil.example", " //evil.example", "evil.example", "", None),
        *("https:evil.example", "///evil.example", "/\x00", "http:///evil", "//[", "/\u2028"),
        *("/.//evil.example", "/x/..//evil.example", "/x/../..//evil.example", "/%2e//evil", "/x/%2E.//evil", "/..//x"),
        *("/.%2e/%2e//evil", "/x\\..\\\\evil", "/.\\/evil", "?//evil.example", "/" + "x" * MAX_PATH),
    ],
)
def test_nobody_is_sent_to_another_site(wanted: str | None) -> None:
    assert path_on_site(wanted) == "/"


@pytest.mark.parametrize(
    "wanted", ["/", "/projects/abc", "/projects/abc?x=1#y", "/a//b", "/?next=//x", "/x?a=/.//b", "/a/../b", "/%2F/x"]
)
def test_paths_of_this_site_are_kept(wanted: str) -> None:
    assert path_on_site(wanted) == wanted


def test_sealed_text_is_for_the_holder_of_the_secret_alone() -> None:
    sealed = seal("a cookie", "an identity token")
    assert "identity" not in sealed
    assert unseal("a cookie", sealed) == "an identity token"
    assert unseal("another cookie", sealed) is None
    assert unseal("a cookie", "garbage") is None
    assert unseal("a cookie", "") is None


def test_half_a_provider_is_refused() -> None:
    with pytest.raises(ValidationError):
        Settings(oidc_issuer="https://provider.example")
    with pytest.raises(ValidationError):
        Settings(oidc_scopes="email")
