"""What deploy/ says of nginx and Caddy, with two real web processes behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pytest

from app.core.redis import keys
from app.core.storage.object_store import Storage
from app.core.storage.paths import audio_path
from tests.deploy.proxies import Proxy, placed_before
from tests.faults.rig import Rig, Web, rigged
from tests.support import Client, until

NAME = "-".join(["a" * 20, "b" * 20, "c" * 20])


@dataclass(frozen=True)
class Front:
    """A proxy before two web processes."""

    proxy: Proxy
    rig: Rig
    webs: list[Web]

    def client(self, user: str, *, http2: bool = True) -> httpx.AsyncClient:
        return self.proxy.client(self.rig.token(user), http2=http2)


@pytest.fixture(params=["nginx", "caddy"])
async def front(request: pytest.FixtureRequest) -> AsyncIterator[Front]:
    async with placed_before(request.param) as proxy, rigged() as rig:
        settings = {"trusted_proxies": "127.0.0.1", "public_url": proxy.address, "heartbeat_seconds": 1}
        webs = [await rig.web(**settings, drain_seconds=1) for _ in range(2)]
        await proxy.start([web.port for web in webs])
        yield Front(proxy, rig, webs)


async def test_stream_poll_upload_and_range_pass_over_http2(front: Front) -> None:
    await Storage.of(front.rig.settings).put(audio_path("alice", NAME), bytes(range(256)) * 4096)
    async with front.client("alice") as http, front.client("alice") as other:
        alice = Client(http)
        async with alice.stream() as stream:
            ready = json.loads((await stream.next("ready")).data)
            poll = asyncio.create_task(Client(other).poll(after=ready["cursor"], wait=20))
            # Heartbeats come one by one: nothing is held back.
            for _ in range(2):
                await stream.next("heartbeat")
            assert not poll.done()
            text = ("The tide came in. " * 60 + "\n\n").encode() * 2000
            made = await http.post("/api/projects", files={"file": ("book.txt", text)})
            assert (made.status_code, made.http_version) == (201, "HTTP/2")
            event = await stream.next("parse:progress")
            assert (await poll)["events"][0]["id"] == event.id
        part = await http.get(f"/audios/{NAME}.mp3", headers={"Range": "bytes=256-511"})
        assert (part.status_code, part.content) == (206, bytes(range(256)))
    # Who left is let go behind the proxy, too.
    async with front.rig.client as redis:

        async def all_left() -> bool:
            return not any(int(count) for count in await redis.hvals(keys.streams("alice")))

        await until(all_left)


async def test_sign_in_over_the_proxy_is_over_https(front: Front) -> None:
    async with front.client("alice", http2=False) as http:
        page = await http.get("/signin")
        assert page.status_code == httpx.codes.OK
        assert "max-age" in page.headers["strict-transport-security"]
        # A client cannot claim to come from elsewhere: the proxy says who it is.
        del http.headers["Authorization"]
        told = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "evil.example"}
        # 421, had the host come through.
        refused = await http.get("/api/projects", headers=told)
        assert refused.status_code == httpx.codes.UNAUTHORIZED


async def test_restart_of_one_web_process_is_not_noticed(front: Front) -> None:
    async with front.client("alice") as http:
        answers: list[int] = []

        async def ask() -> None:
            while True:
                answers.append((await http.get("/api/projects")).status_code)
                await asyncio.sleep(0.01)

        asking = asyncio.create_task(ask())
        for web in front.webs:
            await _ten_more(answers)
            assert await web.stop() == 0
            await _ten_more(answers)
            await web.restart()
        await _ten_more(answers)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        assert set(answers) == {200}


async def _ten_more(answers: list[int]) -> None:
    before = len(answers)
    await until(lambda: len(answers) > before + 10)
