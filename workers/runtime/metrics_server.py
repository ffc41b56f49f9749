"""Serves the metrics of a machine with workers but no web process, on a port of its own if one is set."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from app.core.hostnames import host_of, is_loopback
from app.core.settings import Settings
from app.core.status.exposition import answer, gathered
from app.core.status.system_metrics import system_metrics


@asynccontextmanager
async def metrics_server(settings: Settings, redis: Redis) -> AsyncIterator[None]:
    """Serve on `worker_metrics_port` of `host` within the context.

    Each worker process of the machine does; the kernel chooses one for each request, and each reports all.
    """
    if not settings.worker_metrics_port:
        yield
        return

    async def answer_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or [""])[0])

        async def tell(head: bytes) -> bytes | None:
            return (
                await gathered(settings, await system_metrics(settings, redis))
                if _may_see(settings, head, peer)
                else None
            )

        await answer(reader, writer, tell)

    server = await asyncio.start_server(answer_one, settings.host, settings.worker_metrics_port, reuse_port=True)
    async with server:
        yield


def _may_see(settings: Settings, head: bytes, peer: str) -> bool:
    """Return whether a request with this head has the token, if one is set.

    Without a token it must come from this machine and name it: DNS rebinding may bring requests of other sites' pages.
    """
    token = settings.metrics_token.get_secret_value()
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    fields = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    if token:
        told = [value for name, value in fields if name == b"authorization"]
        return any(hmac.compare_digest(one, f"Bearer {token}".encode()) for one in told)
    hosts = [host_of(value.decode("latin-1")) for name, value in fields if name == b"host"]
    return is_loopback(peer) and all(host is not None and is_loopback(host) for host in hosts)
