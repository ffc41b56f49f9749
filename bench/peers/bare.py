"""What uvicorn alone costs: one subscription for the process, a queue for each stream, and no more than the bytes.

It checks no token, keeps no log and resumes nothing.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import redis.asyncio

_STREAMS: dict[bytes, set[asyncio.Queue[bytes]]] = {}
_HEADERS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
_HEARTBEAT_SECONDS = float(os.environ["BENCH_HEARTBEAT_SECONDS"])


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application (ASGI 3)."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "http":
        await _stream(scope, receive, send)


async def _live(receive: Any, send: Any) -> None:
    await receive()
    client = redis.asyncio.Redis(port=int(os.environ["BENCH_REDIS_PORT"]), socket_timeout=None)
    pubsub = client.pubsub()
    await pubsub.psubscribe("bare:*")
    listening = asyncio.create_task(_listen(pubsub))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    listening.cancel()
    await client.aclose()
    await send({"type": "lifespan.shutdown.complete"})


async def _listen(pubsub: Any) -> None:
    async for message in pubsub.listen():
        if message["type"] == "pmessage":
            frame = b"event: audio:progress\r\ndata: " + message["data"] + b"\r\n\r\n"
            for queue in _STREAMS.get(message["channel"], ()):
                queue.put_nowait(frame)


async def _stream(scope: dict[str, Any], receive: Any, send: Any) -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    channel = b"bare:" + scope["query_string"]
    _STREAMS.setdefault(channel, set()).add(queue)
    writing = asyncio.create_task(_write(queue, send))
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        writing.cancel()
        _STREAMS[channel].discard(queue)


async def _write(queue: asyncio.Queue[bytes], send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    frame = b"event: ready\r\ndata: {}\r\n\r\n"
    while True:
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        try:
            async with asyncio.timeout(_HEARTBEAT_SECONDS):
                frame = await queue.get()
        except TimeoutError:
            frame = b": ping\r\n\r\n"
