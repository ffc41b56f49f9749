"""Another issuer of tokens: a real server that publishes keys, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support import until

NAME = "https://issuer.example"


class PublishingIssuer:
    """Signs with its keys and publishes them; `mode` is `well`, `hang`, `huge`, `html`, `error` or `garbage`."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.address = ""
        self.mode = "well"
        self.asked = 0
        self.add("first", RSAKey.generate_key(2048))

    @property
    def url(self) -> str:
        return f"{self.address}/keys"

    def add(self, id: str, key: Key) -> None:
        self.keys[id] = key

    def add_every_kind(self) -> None:
        self.add("curve", ECKey.generate_key("P-256"))
        self.add("edwards", OKPKey.generate_key("Ed25519"))

    def sign(self, key: str = "first", algorithm: str = "RS256", **claims: Any) -> str:
        given = {"sub": "alice", "iss": NAME, "exp": int(time.time()) + 60, **claims}
        said = {name: value for name, value in given.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": key}, said, self.keys[key], [algorithm])

    async def publish(self, request: Request) -> Response:
        self.asked += 1
        if self.mode == "hang":
            await asyncio.sleep(3600)
        if self.mode == "error":
            return Response(status_code=500)
        published = [key.as_dict(private=False, kid=id) for id, key in self.keys.items()]
        odd = [{"kty": "new kind"}, {"kty": "RSA"}, "no key", OctKey.generate_key(256).as_dict(kid="secret")]
        bodies = {
            "well": json.dumps({"keys": [*odd, *published]}),
            "huge": json.dumps({"keys": [], "padding": "x" * 2_000_000}),
            "html": "<html>Sign in</html>",
            "garbage": "[]",
        }
        return Response(bodies[self.mode], media_type="application/json")


@asynccontextmanager
async def publishing() -> AsyncIterator[PublishingIssuer]:
    """The issuer on a port of its own."""
    issuer = PublishingIssuer()
    async with listening(Starlette(routes=[Route("/keys", issuer.publish)])) as issuer.address:
        yield issuer


@asynccontextmanager
async def listening(app: Starlette) -> AsyncIterator[str]:
    """An application of the tests on a port of its own; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=0))
        task = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or task.done())
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
