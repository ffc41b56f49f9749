"""Streams on connections of every kind: old clients, clients that send ahead or stop sending, many from one address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from app.auth.bearer_tokens import Tokens
from app.core.redis import keys
from app.core.settings import Settings
from tests.conftest import serve, signed_in
from tests.support import Client, until

SECONDS = 20


@pytest.fixture
def token(settings: Settings) -> str:
    return Tokens(settings.signing_key()).sign("alice", 3600)


class Wire:
    """A raw connection to the server."""

    def __init__(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, token: str) -> None:
        self.source, self.sink, self._token = source, sink, token

    def ask(self, target: str, *fields: str, version: str = "1.1") -> None:
        lines = [
            f"GET {target} HTTP/{version}",
            "Host: localhost",
            f"Authorization: Bearer {self._token}",
            *fields,
            "",
            "",
        ]
        self.sink.write("\r\n".join(lines).encode())

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self.source.readuntil(end)

    async def rest(self) -> bytes:
        async with asyncio.timeout(SECONDS):
            return await self.source.read()


@asynccontextmanager
async def wired(address: str, token: str) -> AsyncIterator[Wire]:
    source, sink = await asyncio.open_connection("127.0.0.1", urlsplit(address).port, limit=1 << 20)
    try:
        yield Wire(source, sink, token)
    finally:
        sink.transport.abort()
        # The transport lets go of its socket in the loop's next turn.
        await asyncio.sleep(0)


@pytest.mark.parametrize("target", ["/api/events", "/api/events?after=0-0", "/api/events?status=true"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_answer_of_a_stream_says_that_the_connection_closes(
    address: str, settings: Settings, target: str, version: str
) -> None:
    async with wired(address, Tokens(settings.signing_key()).sign("admin", 3600)) as wire:
        wire.ask(target, version=version)
        head = (await wire.until(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200 ok\r\n")
        assert head.count(b"\r\nconnection: ") == head.count(b"\r\nconnection: close\r\n") == 1
        assert head.count(b"\r\ntransfer-encoding: chunked\r\n") == (version == "1.1")


async def test_http_1_0_gets_a_stream_without_chunks(address: str, token: str, alice: Client) -> None:
    project = await alice.create()
    async with wired(address, token) as wire:
        wire.ask("/api/events?after=0-0", version="1.0")
        await wire.until(b"\r\n\r\n")
        assert (await wire.until(b"\r\n")).startswith(b": ")
        told = await wire.until(b"event: parse:progress\r\n") + await wire.until(b"\r\n\r\n")
        await alice.create()  # live, as well as caught up with
        told += await wire.until(b"event: parse:progress\r\n") + await wire.until(b"\r\n\r\n")
        await alice.http.delete(f"/api/projects/{project['id']}")
    lines = told.decode().splitlines()
    names = {"id", "event", "data", "retry", ""}
    assert {line.partition(":")[0] for line in lines} <= names, lines
    assert all(json.loads(line[6:]) is not None for line in lines if line.startswith("data: "))


async def test_request_sent_behind_a_stream_does_not_cut_it(address: str, token: str, alice: Client) -> None:
    async with wired(address, token) as wire:
        wire.ask("/api/events")
        wire.ask("/api/projects")
        wire.sink.write(b"\x00 and what is no request at all\r\n\r\n")
        await wire.until(b"event: ready\r\n")
        await alice.create()
        assert b"HTTP/1.1" not in await wire.until(b"event: parse:progress\r\n")


async def test_stream_behind_another_request_is_one(address: str, token: str, alice: Client) -> None:
    async with wired(address, token) as wire:
        wire.ask("/api/projects")
        wire.ask("/api/events")
        wire.ask("/api/projects")
        answer = await wire.until(b"event: ready\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        await alice.create()
        await wire.until(b"event: parse:progress\r\n")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_client_that_stops_sending_keeps_its_stream(
    address: str, token: str, alice: Client, version: str
) -> None:
    async with wired(address, token) as wire:
        wire.ask("/api/events", version=version)
        wire.sink.write_eof()
        await wire.until(b"event: ready\r\n")
        # It is written to until it is known that it lives; then it goes on as any other.
        for _ in range(2):
            await wire.until(b"event: heartbeat\r\n")
        await alice.create()
        await wire.until(b"event: parse:progress\r\n")
    async with wired(address, token) as wire:
        wire.ask("/api/events", version=version)
        await wire.until(b"event: ready\r\n")
        wire.sink.write_eof()
        await alice.create()
        await wire.until(b"event: parse:progress\r\n")


async def test_poll_of_a_client_that_stops_sending_is_answered_whole(address: str, token: str, alice: Client) -> None:
    cursor = (await alice.poll())["cursor"]
    async with wired(address, token) as wire:
        wire.ask(f"/api/events?after={cursor}&wait=50", "Accept: application/json")
        wire.sink.write_eof()
        head, _, body = (await wire.rest()).partition(b"\r\n\r\n")
    assert b"connection: close" in head
    assert json.loads(body) == {"events": [], "cursor": cursor, "reset": None}


async def test_client_that_has_gone_is_found_out_at_once(settings: Settings, token: str, redis: Redis) -> None:
    patient = settings.model_copy(update={"heartbeat_seconds": 600})
    async with serve(patient) as address:
        async with wired(address, token) as wire:
            wire.ask("/api/events")
            await wire.until(b"event: ready\r\n\r\n"[:-2])

            async def hears(number: int) -> bool:
                return dict(await redis.pubsub_numsub(keys.channel("alice")))[keys.channel("alice").encode()] == number

            await until(lambda: hears(1))
            # An end of sending, and then nobody there any more: what a browser does that closes a tab.
            wire.sink.close()
        await until(lambda: hears(0))


async def test_streams_of_one_address_are_bounded_and_given_back(settings: Settings, redis: Redis) -> None:
    # Who listens beyond loopback is met by others than this machine's own programs.
    narrow = settings.model_copy(update={"max_streams_per_address": 2, "host": "0.0.0.0"})
    async with serve(narrow) as address, signed_in(address, narrow, "alice") as alice:
        async with signed_in(address, narrow, "bob") as bob, alice.stream() as one, bob.stream() as two:
            await one.next("ready")
            await two.next("ready")
            refused = await alice.http.get("/api/events")
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
            assert int(refused.headers["retry-after"]) > 0
            # Everything else is served.
            assert (await bob.http.get("/api/projects")).status_code == 200

        async def lets_in() -> bool:
            async with alice.http.stream("GET", "/api/events") as answer:
                return answer.status_code == 200

        await until(lets_in)
