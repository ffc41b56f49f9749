"""Who may come in: every private route, with every credential that does not hold, and for what is somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from redis.asyncio import Redis
from starlette.routing import Route

from app.auth.bearer_tokens import Tokens
from app.auth.cookies import SESSION
from app.auth.disabled_users import DisabledUsers
from app.auth.sessions import Sessions
from app.core.jobs.service import Jobs
from app.core.projects.service import audio_record
from app.core.redis import keys
from app.core.settings import Settings
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path, book_path, cover_path, report_path
from app.routes import PRIVATE, ROUTES
from tests.support import Client, HandWorker

FOREIGN = {
    # What another user gets who names what is alice's; every route that names something has a row.
    ("GET", "/api/projects/{project}"): 404,
    ("PATCH", "/api/projects/{project}"): 404,
    ("DELETE", "/api/projects/{project}"): 404,
    ("POST", "/api/projects/{project}/audio"): 404,
    ("GET", "/api/projects/{project}/chapters/{chapter}"): 404,
    ("PATCH", "/api/projects/{project}/chapters/{chapter}"): 404,
    ("POST", "/api/projects/{project}/chapters/{chapter}/audio"): 404,
    ("POST", "/api/projects/{project}/chapters/{chapter}/split"): 404,
    ("POST", "/api/projects/{project}/chapters/{chapter}/merge"): 404,
    ("GET", "/api/projects/{project}/cover"): 404,
    ("GET", "/api/projects/{project}/chapters/{chapter}/report"): 404,
    ("GET", "/api/jobs/{queue}/{job}"): 404,
    ("DELETE", "/api/jobs/{queue}/{job}"): 404,
    ("GET", "/audios/{name}.mp3"): 404,
    ("POST", "/api/projects/{project}/book"): 404,
    ("GET", "/books/{book}.m4b"): 404,
    ("GET", "/books/{book}.zip"): 404,
    ("DELETE", "/api/sessions/{session}"): 404,
    # These name nothing: each shows a user's own, or wants a body.
    ("GET", "/api/account"): 200,
    ("POST", "/api/account/password"): 415,
    ("POST", "/api/account/second-factor"): 409,
    ("POST", "/api/account/second-factor/enable"): 415,
    ("POST", "/api/account/second-factor/disable"): 415,
    ("POST", "/api/account/second-factor/recovery-codes"): 415,
    ("DELETE", "/api/sessions"): 204,
    ("GET", "/api/sessions"): 200,
    ("GET", "/api/session"): 200,
    ("DELETE", "/api/session"): 204,
    ("GET", "/api/projects"): 200,
    ("POST", "/api/projects"): 415,
    ("GET", "/api/events"): 200,
    ("POST", "/api/events/tickets"): 201,
    ("GET", "/api/usage"): 200,
    ("GET", "/api/voices"): 503,
    # Only administrators have one.
    ("GET", "/api/status"): 403,
}
PUBLIC = {
    *("/", "/signin", "/projects/{project}", "/static", "/healthz", "/readyz", "/api/session", "/api/sign-in-options"),
    *("/auth/oidc/login", "/auth/oidc/callback", "/auth/oidc/logout", "/docs", "/openapi.json", "/metrics", "/status"),
    "/account",
}


def routes() -> Iterator[tuple[str, str]]:
    for route in PRIVATE:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, route.path


def filled(path: str, names: dict[str, str]) -> str:
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    return path


@pytest.fixture
async def hers(
    alice: Client, worker: HandWorker, jobs: Jobs, storage: Storage, redis: Redis, settings: Settings
) -> dict[str, str]:
    """Names of all kinds of things of alice's, each of which is there."""
    project = await alice.create()
    await worker.parse("alice", project["job"], chapters=2)
    _, chapter = (await alice.project(project["id"]))["chapters"]
    url = f"/api/projects/{project['id']}/chapters/{chapter['id']}"
    assert (await alice.http.patch(url, json={"text": "One.\n\nTwo."})).is_success
    await storage.put(cover_path("alice", project["id"]), b"picture")
    await redis.hset(keys.project("alice", project["id"]), "coverType", "image/png")
    job = await alice.narrate(project["id"], chapter["id"])
    name = f"{project['id']}-{chapter['id']}-{'a' * 20}"
    await storage.put(audio_path("alice", name), b"sound")
    await storage.put(report_path("alice", name), b'{"segments": []}')
    book = f"{project['id']}-{'b' * 20}"
    for format in ("m4b", "zip"):
        await storage.put(book_path("alice", book, format), b"book")
    claim = await worker.start("alice", job)
    await jobs.complete(claim, {}, audio_record("alice", chapter["id"], name, 1.0, "x"))
    return {
        "project": project["id"],
        "chapter": chapter["id"],
        "queue": "audio-generation",
        "job": job["id"],
        "name": name,
        "book": book,
        "session": keys.digest(await Sessions(redis, settings).start("alice"))[:20],
    }


def test_every_private_route_has_a_row_and_every_other_is_known_to_be_public() -> None:
    assert set(routes()) == set(FOREIGN)
    others = [route for route in ROUTES if route not in PRIVATE]
    assert {getattr(route, "path", "") for route in others} == PUBLIC
    assert {(route.path, frozenset(route.methods or ())) for route in others if isinstance(route, Route)} >= {
        ("/api/session", frozenset({"POST"}))
    }


Sent = tuple[dict[str, str], dict[str, str]]


class Credentials:
    """Ways to come in that do not hold, or not there: each makes the headers and the query of a request."""

    def __init__(self, redis: Redis, settings: Settings, alice: Client) -> None:
        self._sessions = Sessions(redis, settings)
        self._access = DisabledUsers(redis)
        self._tokens = Tokens(settings.signing_key())
        self._alice = alice

    async def nothing(self) -> Sent:
        return {}, {}

    async def garbage(self) -> Sent:
        return {"Authorization": "Bearer not.a.token"}, {}

    async def other_scheme(self) -> Sent:
        return {"Authorization": "Basic YWxpY2U6YWxpY2U="}, {}

    async def expired(self) -> Sent:
        return {"Authorization": f"Bearer {self._tokens.sign('alice', -60)}"}, {}

    async def disabled(self) -> Sent:
        await self._access.disable("mallory")
        return {"Authorization": f"Bearer {self._tokens.sign('mallory', 60)}"}, {}

    async def issued_before_a_new_password(self) -> Sent:
        token = self._tokens.sign("bob", 60)
        await self._access.revoke("bob")
        return {"Authorization": f"Bearer {token}"}, {}

    async def ended_session(self) -> Sent:
        token = await self._sessions.start("alice")
        await self._sessions.end(token)
        return {"Cookie": f"{SESSION}={token}"}, {}

    async def invented_session(self) -> Sent:
        return {"Cookie": f"{SESSION}=invented"}, {}

    async def session_under_the_name_for_https(self) -> Sent:
        return {"Cookie": f"__Host-{SESSION}={await self._sessions.start('alice')}"}, {}

    async def ticket(self) -> Sent:
        return {}, {"ticket": (await self._alice.http.post("/api/events/tickets")).json()["ticket"]}

    async def spent_ticket(self) -> Sent:
        _, query = await self.ticket()
        async with self._alice.http.stream("GET", "/api/events", params=query):
            return {}, query

    async def token_in_the_query(self) -> Sent:
        return {}, {"token": self._tokens.sign("alice", 60)}


CODES = {
    # Which refusal each of them gets, on every private route.
    "nothing": "unauthenticated",
    "garbage": "bad_token",
    "other_scheme": "bad_scheme",
    "expired": "bad_token",
    "disabled": "account_disabled",
    "issued_before_a_new_password": "signed_out",
    "ended_session": "signed_out",
    "invented_session": "signed_out",
    "session_under_the_name_for_https": "unauthenticated",
    "ticket": "unauthenticated",
    "spent_ticket": "unauthenticated",
    "token_in_the_query": "token_in_url",
}
EXCEPT = {
    # The one route that tickets are for.
    ("ticket", "GET", "/api/events"): (200, None),
    ("spent_ticket", "GET", "/api/events"): (401, "ticket_used"),
}


@pytest.mark.parametrize("credential", CODES)
async def test_credential_that_does_not_hold_opens_no_route(
    anyone: httpx.AsyncClient,
    alice: Client,
    redis: Redis,
    settings: Settings,
    hers: dict[str, str],
    credential: str,
) -> None:
    make = getattr(Credentials(redis, settings, alice), credential)
    for method, path in routes():
        headers, query = await make()
        accept = {"Accept": "application/json", **headers}
        answer = await anyone.request(method, filled(path, hers), headers=accept, params=query)
        status, code = EXCEPT.get((credential, method, path), (401, CODES[credential]))
        assert (answer.status_code, answer.json().get("code")) == (status, code), (method, path, answer.text)
        if status == httpx.codes.UNAUTHORIZED:
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.headers["content-type"] == "application/problem+json"
    # None of it has changed anything.
    assert (await alice.project(hers["project"]))["id"] == hers["project"]


def test_every_way_in_has_a_row() -> None:
    assert {name for name in vars(Credentials) if not name.startswith("_")} == set(CODES)


@pytest.mark.parametrize(("method", "path"), list(routes()))
async def test_what_is_somebody_elses_is_404(mallory: Client, hers: dict[str, str], method: str, path: str) -> None:
    told = {"format": "m4b"} if path.endswith("/book") else {"title": "Mine now"} if method == "PATCH" else None
    accept = {"Accept": "application/json"}
    answer = await mallory.http.request(method, filled(path, hers), headers=accept, json=told)
    assert answer.status_code == FOREIGN[method, path], answer.text
    for name in hers.values():
        assert name == "audio-generation" or name not in answer.text


_BODIES = {
    "/api/projects/{project}/chapters/{chapter}/split": {"json": {"offset": 5}},
    "/api/projects/{project}/book": {"json": {"format": "m4b", "allowMissing": True}},
}


@pytest.mark.parametrize(("method", "path"), [row for row, status in FOREIGN.items() if status == 404])
async def test_what_is_ones_own_is_there(alice: Client, hers: dict[str, str], method: str, path: str) -> None:
    body = {"json": {"title": "Still mine"}} if method == "PATCH" else _BODIES.get(path, {})
    answer = await alice.http.request(method, filled(path, hers), **body)  # type: ignore[arg-type] # a dict
    assert answer.is_success, answer.text


async def test_somebody_elses_project_is_404_as_a_filter_too(mallory: Client, hers: dict[str, str]) -> None:
    for accept in ("application/json", "text/event-stream"):
        answer = await mallory.http.get(f"/api/events?project={hers['project']}", headers={"Accept": accept})
        assert answer.status_code == httpx.codes.NOT_FOUND


def _bad_tokens(settings: Settings) -> dict[str, str]:
    key = OctKey.import_key(settings.signing_key())
    other = OctKey.import_key(b"x" * 48)

    def sign(claims: dict[str, Any], key: OctKey = key, algorithm: str = "HS256") -> str:
        return jwt.encode({"alg": algorithm}, claims, key, [algorithm])

    good = Tokens(settings.signing_key()).sign("alice", 3600)
    far = 4_000_000_000
    return {
        "garbage": "not.a.token",
        "bytes": "\x7f\x01",
        "huge": "a" * 20_000,
        "none": "eyJhbGciOiJub25lIn0." + good.split(".")[1] + ".",
        "none with its signature": "eyJhbGciOiJub25lIn0." + ".".join(good.split(".")[1:]),
        "RS256 over the secret": "eyJhbGciOiJSUzI1NiJ9." + ".".join(good.split(".")[1:]),
        "other algorithm": sign({"sub": "alice", "exp": far}, OctKey.import_key(b"y" * 64), "HS512"),
        "other key": sign({"sub": "alice", "exp": far}, other),
        "no exp": sign({"sub": "alice"}),
        "no sub": sign({"exp": far}),
        "empty sub": sign({"sub": "", "exp": far}),
        "sub that is no text": sign({"sub": ["alice"], "exp": far}),
        "expired": sign({"sub": "alice", "exp": 1_000_000_000}),
        "not yet valid": sign({"sub": "alice", "exp": far, "nbf": far - 1}),
        "exp that is no number": sign({"sub": "alice", "exp": "never"}),
        "cut off": good[:-4],
    }


async def test_token_that_does_not_hold_is_401(anyone: httpx.AsyncClient, settings: Settings) -> None:
    for what, token in _bad_tokens(settings).items():
        answer = await anyone.get("/api/projects", headers=[(b"Authorization", b"Bearer " + token.encode("latin-1"))])
        assert answer.status_code in ({401} if what != "bytes" else {400, 401}), what
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            assert answer.json()["code"] == "bad_token", what


async def test_user_whose_name_is_no_plain_word_has_a_place_of_their_own(
    anyone: httpx.AsyncClient, settings: Settings
) -> None:
    tokens = Tokens(settings.signing_key())
    names = ["..", "a/b", "a}b", "{u:alice}", "auth0|x:y", "名字", "alice ", "a\nb"]
    made = {}
    for name in names:
        headers = {"Authorization": f"Bearer {tokens.sign(name, 60)}"}
        answer = await anyone.post("/api/projects", json={"text": "Hello."}, headers=headers)
        assert answer.status_code == httpx.codes.CREATED, (name, answer.text)
        made[name] = answer.json()["id"]
    for name in names:
        headers = {"Authorization": f"Bearer {tokens.sign(name, 60)}"}
        listed = (await anyone.get("/api/projects", headers=headers)).json()["projects"]
        assert [project["id"] for project in listed] == [made[name]]


@pytest.mark.parametrize("name", ["token", "access_token", "jwt"])
async def test_token_in_a_url_is_refused_even_if_it_is_good(
    anyone: httpx.AsyncClient, settings: Settings, name: str
) -> None:
    token = Tokens(settings.signing_key()).sign("alice", 60)
    answer = await anyone.get("/api/events", params={name: token}, headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "token_in_url")


async def test_answers_say_what_a_browser_may_do_with_them(anyone: httpx.AsyncClient) -> None:
    for path in ("/", "/api/projects", "/nowhere"):
        headers = (await anyone.get(path)).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
