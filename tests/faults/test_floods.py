"""Somebody who floods the sign-in, or opens streams without end, harms nobody else."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from app.auth.accounts import Accounts
from app.core.redis.client import connect
from tests.faults.publisher import Publisher
from tests.faults.readers import Crowd, SseReader
from tests.faults.rig import Rig, Web, allow_sockets
from tests.support import until

PASSWORD = "correct horse battery"
ATTEMPTS = 1000
AT_ONCE = 50
STREAMS = 2000
SAMPLES = 8


@pytest.fixture
async def web(rig: Rig) -> Web:
    async with connect(rig.redis.url) as redis:
        await Accounts(redis, rig.settings).add("alice", PASSWORD)
    return await rig.web(trusted_proxies="127.0.0.1")


def from_address(web: Web, address: str) -> httpx.AsyncClient:
    """A client that a trusted proxy lets in, with what it says of the client's address."""
    headers = {"X-Forwarded-For": address, "X-Forwarded-Proto": "http"}
    return httpx.AsyncClient(base_url=web.address, headers=headers, trust_env=False, timeout=60)


async def test_thousand_bad_sign_ins_leave_anothers_sign_in_unharmed(
    web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    turn = asyncio.Semaphore(AT_ONCE)
    async with from_address(web, "192.0.2.1") as alice:

        async def sign_in() -> None:
            answer = await alice.post("/api/session", json={"username": "alice", "password": PASSWORD})
            assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

        async def guess(number: int) -> int:
            async with turn:
                return await _post(web.port, "203.0.113.9", {"username": "alice", "password": f"guess {number}"})

        quiet = await _median(sign_in)
        guesses = [asyncio.create_task(guess(number)) for number in range(ATTEMPTS)]
        loud = await _median(sign_in)
        answers = Counter(await asyncio.gather(*guesses))
    assert set(answers) == {httpx.codes.UNAUTHORIZED, httpx.codes.TOO_MANY_REQUESTS}
    assert answers[httpx.codes.UNAUTHORIZED] < ATTEMPTS / 10
    with capsys.disabled():
        print(f"\n  sign-in {quiet * 1000:.0f} ms, among {ATTEMPTS} guesses {loud * 1000:.0f} ms: {loud / quiet:.2f} x")


async def test_two_thousand_streams_asked_for_by_one_leave_anothers_stream_unharmed(
    rig: Rig, web: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    allow_sockets(8192)
    alice = SseReader([web.port], "alice", rig.token("alice"))
    flood = [SseReader([web.port], "mallory", rig.token("mallory"), returns=False) for _ in range(STREAMS)]
    async with rig.client as redis, Crowd([alice]).reading():
        publisher = Publisher(redis, rig.settings)
        await publisher.prepare(["alice"])

        async def hear() -> None:
            heard = len(alice.events)
            await publisher.run(1, 1000)
            await until(lambda: len(alice.events) > heard)

        quiet = await _median(hear)
        async with _asking(flood):
            await until(lambda: sum(one.connections + one.refusals.total() for one in flood) >= STREAMS)
            loud = await _median(hear)
            held = sum(one.connections for one in flood)
    assert held == rig.settings.max_streams_per_user
    assert sum((one.refusals for one in flood), Counter[int]()).keys() == {httpx.codes.TOO_MANY_REQUESTS}
    assert alice.connections == 1
    with capsys.disabled():
        print(f"\n  event {quiet * 1000:.1f} ms, among {STREAMS} streams {loud * 1000:.1f} ms: {loud / quiet:.2f} x")


async def _post(port: int, address: str, asked: dict[str, str]) -> int:
    """The status that a sign-in from `address` gets, asked for by hand: an HTTP library would be the slower end."""
    body = json.dumps(asked)
    lines = ["POST /api/session HTTP/1.1", "Host: localhost", f"X-Forwarded-For: {address}", "Connection: close"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    source, sink = await asyncio.open_connection("127.0.0.1", port)
    try:
        sink.write("\r\n".join(lines).encode())
        return int((await source.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
    finally:
        sink.close()


@asynccontextmanager
async def _asking(readers: list[SseReader]) -> AsyncIterator[None]:
    """They all ask at once, and again and again."""
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _median(act: Callable[[], Awaitable[None]]) -> float:
    """Seconds that `act` takes."""
    loop = asyncio.get_running_loop()
    taken = []
    for _ in range(SAMPLES):
        began = loop.time()
        await act()
        taken.append(loop.time() - began)
    return statistics.median(taken)
