"""Behind a proxy that reuses its connections nobody's bytes are ever read as, or answered to, another's request."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from itertools import cycle, islice

import pytest

from tests.deploy.proxies import Proxy, placed_before
from tests.server.echo import Echo, serving
from tests.server.test_framing import CHUNKED, REFUSED, UPGRADES

TRIES = 500
_SMUGGLED = b"GET /foreign HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SECONDS = 20


def _offer(name: bytes, chunked: bool) -> tuple[bytes, bytes]:
    """Head and body of a request that offers an upgrade, with another request as its body."""
    head = b"POST /first HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: " + name + b"\r\n"
    if chunked:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED)
        return head + CHUNKED + b"\r\n", body
    return head + b"Content-Length: %d\r\n\r\n" % len(_SMUGGLED), _SMUGGLED


OFFERS = [_offer(name, chunked) for name in UPGRADES for chunked in (False, True)]
FORMS = [
    (head + b"\r\n\r\n", body + _SMUGGLED)
    for head, _, body in (form.replace(b"Host: a", b"Host: localhost").partition(b"\r\n\r\n") for form in REFUSED)
]


async def _connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    trust = ssl.create_default_context(cafile=proxy.certificate)
    trust.set_alpn_protocols(["http/1.1"])
    return await asyncio.open_connection("localhost", proxy.port, ssl=trust)


async def _attack(proxy: Proxy, head: bytes, body: bytes, *, whole: bool) -> bytes:
    """What comes back for a head and, once the server behind may have it, what follows; `whole`: one answer is due."""
    source, sink = await _connect(proxy)
    try:
        sink.write(head)
        await sink.drain()
        await asyncio.sleep(0)
        sink.write(body)
        answer = b""
        with suppress(OSError):
            await sink.drain()
            answer = await source.readuntil(b"\r\n\r\n") if whole else await asyncio.wait_for(source.read(65536), 0.02)
        return answer
    except (TimeoutError, asyncio.IncompleteReadError):
        return b""
    finally:
        sink.transport.abort()


class Victim:
    """Somebody whose requests pass the same proxy, on a connection that is kept."""

    def __init__(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._source, self._sink = source, sink
        self._count = 0

    def leave(self) -> None:
        self._sink.transport.abort()

    async def ask(self) -> None:
        """Checks that the answer is that of the question."""
        self._count += 1
        body = b"victim %d" % self._count
        self._sink.write(
            b"POST /victim HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = await self._source.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert await self._source.readexactly(len(body) + 2) == b"<%b>" % body


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
async def test_no_bytes_of_one_client_become_anothers_request(kind: str) -> None:
    with serving(Echo()) as echo:
        async with placed_before(kind) as proxy, asyncio.timeout(6 * _SECONDS):
            await proxy.start([echo.port, echo.port])
            victim = Victim(*await _connect(proxy))
            for head, body in islice(cycle(OFFERS), TRIES):
                assert (await _attack(proxy, head, body, whole=True)).startswith(b"HTTP/1.1 200 ")
                await victim.ask()
            # An upgrade that is offered with a body is served with it.
            served = [request for request in echo.requests if request.path == "/first"]
            assert [request.body for request in served] == [_SMUGGLED] * TRIES
            for head, body in islice(cycle(FORMS), TRIES):
                await _attack(proxy, head, body, whole=False)
                await victim.ask()
            victim.leave()
            assert echo.begun.count("/victim") == 2 * TRIES
            # What the proxy took for a request of its own sender's bears its mark; what was smuggled past it would not.
            foreign = [dict(request.headers) for request in echo.requests if request.path == "/foreign"]
            assert all(b"x-forwarded-for" in fields for fields in foreign)
