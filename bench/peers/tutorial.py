"""Streams and job status as tutorials write them: sse-starlette, and a Redis subscription for each client."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from joserfc import jwt
from joserfc.jwk import OctKey
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_KEY = OctKey.import_key(os.environ["BENCH_SECRET"].encode())
_HEARTBEAT_SECONDS = float(os.environ["BENCH_HEARTBEAT_SECONDS"])


def _user(request: Request) -> str:
    token = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), _KEY, algorithms=["HS256"])
    return str(token.claims["sub"])


async def events(request: Request) -> Response:
    """The user's events from now on."""
    channel = f"tutorial:{_user(request)}"

    async def stream() -> AsyncIterator[dict[str, Any]]:
        async with request.app.state.redis.pubsub() as pubsub:
            await pubsub.subscribe(channel)
            yield {"event": "ready", "data": "{}"}
            async for message in pubsub.listen():
                if message["type"] == "message":
                    yield {"event": "audio:progress", "data": message["data"]}

    return EventSourceResponse(stream(), ping=_HEARTBEAT_SECONDS)


async def status(request: Request) -> Response:
    """The job."""
    job = await request.app.state.redis.hgetall(f"job:{_user(request)}:{request.path_params['job']}")
    if not job:
        return JSONResponse({"error": "not found"}, 404)
    return JSONResponse({**job, "progress": json.loads(job["progress"])})


@asynccontextmanager
async def _running(app: Starlette) -> AsyncIterator[None]:
    port = int(os.environ["BENCH_REDIS_PORT"])
    app.state.redis = redis.asyncio.Redis(
        port=port, decode_responses=True, socket_timeout=None, max_connections=100_000
    )
    yield
    await app.state.redis.aclose()


app = Starlette(
    routes=[Route("/api/events", events), Route("/api/jobs/{queue}/{job}", status)],
    lifespan=_running,
)
