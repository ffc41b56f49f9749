"""`/openapi.json` describes the whole interface, and nothing that is not there."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from jsonschema_rs import meta
from starlette.routing import Route

from app import endpoints
from app.core.errors import Problem
from app.core.jobs.transitions import PREFIX
from app.core.settings import Settings
from app.openapi.document import document
from app.openapi.event_schemas import STORED
from app.routes import ROUTES

APP = Path(endpoints.__file__).parents[1]
PAGES = {"/", "/account", "/signin", "/projects/{project}", "/docs", "/status"}
OF_ACCOUNTS = {"account_exists", "bad_name", "weak_password"}
"""Codes of `smartvoice user`."""
DEFAULTS = {kind.default_code for kind in Problem.__subclasses__()}


@pytest.fixture
def described(settings: Settings) -> dict[str, Any]:
    return document(ROUTES, settings)


def _within(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from _within(inner)


def test_every_endpoint_describes_itself_and_nothing_else_is_described() -> None:
    names = [f"app.endpoints.{found.name}" for found in pkgutil.iter_modules(endpoints.__path__)]
    said = [endpoint for name in names for endpoint in getattr(importlib.import_module(name), "OPERATIONS", {})]
    assert set(said) == {route.endpoint for route in ROUTES if isinstance(route, Route) and route.include_in_schema}


def test_pages_alone_are_left_out() -> None:
    assert {route.path for route in ROUTES if isinstance(route, Route) and not route.include_in_schema} == PAGES


def test_document_is_openapi_and_its_schemas_are_json_schemas(described: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(described).validate()
    schemas = described["components"]["schemas"]
    for schema in schemas.values():
        meta.validate(schema)
    named = {found["$ref"] for found in _within(described) if "$ref" in found}
    assert {name.rpartition("/")[2] for name in named} <= schemas.keys()
    assert all(name.startswith("#/components/schemas/") for name in named)


def test_every_code_that_can_be_answered_is_named_and_every_named_one_can_be() -> None:
    raised = {
        code
        for folder in ("auth", "core", "endpoints", "middleware", "streaming")
        for file in (APP / folder).rglob("*.py")
        for code in re.findall(r'\bcode="(\w+)"', file.read_text())
    }
    told = {code for found in _within(document(ROUTES, Settings())) for code in found.get("code", {}).get("enum", [])}
    assert raised - OF_ACCOUNTS - told == set()
    assert told - raised - DEFAULTS - {"too_many_changes", "too_many_uploads"} == set()


def test_every_type_of_event_is_described() -> None:
    ways = ("progress", "complete", "failed", "cancelled")
    of_jobs = {f"{prefix}:{way}" for prefix in PREFIX.values() for way in ways}
    assert STORED.keys() == of_jobs | {"project:changed"}


def test_bounds_and_the_cookies_name_are_those_that_are_set(settings: Settings) -> None:
    set_up = settings.model_copy(update={"max_wait_seconds": 7.5, "public_url": "https://books.example"})
    described = document(ROUTES, set_up)
    wait = next(one for one in described["paths"]["/api/events"]["get"]["parameters"] if one["name"] == "wait")
    assert wait["schema"]["maximum"] == 7.5
    assert described["components"]["securitySchemes"]["cookie"]["name"] == "__Host-smartvoice_session"


def test_what_needs_a_credential_says_which(described: dict[str, Any]) -> None:
    paths = described["paths"]
    assert paths["/api/events"]["get"]["security"] == [{"bearer": []}, {"cookie": []}, {"ticket": []}]
    assert paths["/api/projects"]["post"]["security"] == [{"bearer": []}, {"cookie": []}]
    open_to_all = {path for path, item in paths.items() for one in item.values() if one["security"] == []}
    assert open_to_all == {
        *("/openapi.json", "/healthz", "/readyz", "/metrics", "/api/session", "/api/sign-in-options"),
        *("/auth/oidc/login", "/auth/oidc/callback", "/auth/oidc/logout"),
    }


async def test_anybody_may_read_it(anyone: httpx.AsyncClient, settings: Settings) -> None:
    answer = await anyone.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document(ROUTES, settings)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/projects", "GET, HEAD, POST"),
        ("/api/projects/x", "DELETE, GET, HEAD, PATCH"),
        ("/api/projects/x/audio", "POST"),
        ("/static/favicon.svg", "GET, HEAD"),
    ],
)
async def test_refused_method_is_told_those_that_are_described(
    anyone: httpx.AsyncClient, path: str, allowed: str
) -> None:
    answer = await anyone.put(path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed
