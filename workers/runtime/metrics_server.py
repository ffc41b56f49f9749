"""Metrics of a machine that has workers alone: on a port of its own, where one is set."""

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
    """Answers on `worker_metrics_port` of `host` while the context is open.

    Each worker process of the machine does; the system chooses one for each request, and each tells of all.
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
    """Whether a request with this head has the token, where one is set.

    Where none is, it must come from this machine and name it: a page of another site may have made a name of its own
    point here.
    """
    token = settings.metrics_token.get_secret_value()
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    fields = [(name.strip().lower(), value.strip()) for name, _, value in lines]
    if token:
        told = [value for name, value in fields if name == b"authorization"]
        return any(hmac.compare_digest(one, f"Bearer {token}".encode()) for one in told)
    hosts = [host_of(value.decode("latin-1")) for name, value in fields if name == b"host"]
    return is_loopback(peer) and all(host is not None and is_loopback(host) for host in hosts)
