"""The client's events: one log in order, over a server that is killed, a proxy that holds streams back, and a reset."""

from __future__ import annotations

import asyncio
import itertools
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest

from app.client.backoff import Backoff
from app.client.errors import ApiError
from app.client.events import Event, Follower, Timings
from app.core.redis import keys
from tests.browser.world import USER, World, world_of
from tests.support import until


class Following:
    """A follower whose events are written down."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async with aclosing(self.follower.events()) as events:
            async for event in events:
                self.events.append(event)

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        assert self._task.cancelled(), self._task.exception()


@asynccontextmanager
async def following(world: World, timings: Timings | None = None, **client: object) -> AsyncIterator[Following]:
    after, _ = await world.fresh()
    async with world.rig.client_of(world.web, USER) as http:
        if wrap := client.get("transport"):
            http._transport = wrap(http._transport)  # type: ignore[operator] # the tests' own
        found = Following(Follower(http, after=after, timings=timings, backoff=Backoff(0.2, 1)))
        try:
            yield found
        finally:
            await found.stop()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of(heartbeat_seconds=0.5, drain_seconds=0.2, conflate_over=100_000) as world:
        yield world


async def agrees(world: World, found: Following, after: str) -> None:
    async def so() -> bool:
        return found.ids == await world.logged(after)

    await until(so)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_server_that_dies_in_mid_stream_loses_and_repeats_nothing(world: World, how: signal.Signals) -> None:
    after, _ = await world.fresh()
    async with following(world) as found:
        async with world.publishing(60):
            for round in range(1, 4):
                await until(lambda round=round: len(found.events) > 40 * round)
                world.web.send(how)
                world.web.wait()
                await world.web.restart()
        await agrees(world, found, after)
    assert len(found.ids) > 120


async def test_follower_that_comes_back_with_its_cursor_has_the_rest(world: World) -> None:
    after, _ = await world.fresh()
    async with following(world) as found:
        await world.publish(30)
        await agrees(world, found, after)
    cursor = found.follower.cursor
    await world.publish(30)
    async with world.rig.client_of(world.web, USER) as http:
        rest = Following(Follower(http, after=cursor))
        try:

            async def whole() -> bool:
                return found.ids + rest.ids == await world.logged(after)

            await until(whole)
        finally:
            await rest.stop()


class Holding(httpx.AsyncBaseTransport):
    """A proxy that lets a stream's headers through and then nothing, as long as it holds."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.polls = self.streams = 0
        self.holds = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        streams = request.headers.get("accept") == "text/event-stream"
        if streams and self.holds:
            headers = {"Content-Type": "text/event-stream"}
            return httpx.Response(200, headers=headers, stream=_Silence())
        self.streams += streams
        self.polls += request.url.path == "/api/events" and "wait" in request.url.params
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Silence(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b": nothing\n\n"
        await asyncio.Event().wait()


class _Chatter(httpx.AsyncBaseTransport):
    """A server whose frames come one by one, without end."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=_Frames())


class _Frames(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'event: ready\ndata: {"cursor": "1-0", "heartbeatSeconds": 60}\n\n'
        for seq in itertools.count(1):
            await asyncio.sleep(0)
            yield b"id: 1-%d\nevent: audio:progress\ndata: {}\n\n" % seq


async def test_follower_that_is_cancelled_as_a_frame_comes_ends() -> None:
    for turns in range(40):
        async with httpx.AsyncClient(transport=_Chatter(), base_url="http://chatter") as http:
            found = Following(Follower(http))
            await until(lambda found=found: found.events)
            for _ in range(turns):
                await asyncio.sleep(0)
            before = len(found.events)
            ended = asyncio.create_task(found.stop())
            await until(lambda ended=ended, found=found, before=before: ended.done() or len(found.events) > before + 50)
            assert ended.done()
            await ended


async def test_stream_that_is_held_back_is_replaced_by_polls_and_comes_again(world: World) -> None:
    after, _ = await world.fresh()
    held: list[Holding] = []

    def wrap(inner: httpx.AsyncBaseTransport) -> Holding:
        held.append(Holding(inner))
        return held[0]

    timings = Timings(ready=0.3, wait=0.5, probe=1.0, longest_probe=1.0)
    async with following(world, timings, transport=wrap) as found:
        await world.publish(20)
        await agrees(world, found, after)
        assert held[0].polls > 0
        held[0].holds = False
        await until(lambda: held[0].streams > 0)
        await world.publish(20)
        await agrees(world, found, after)


async def test_log_that_is_gone_is_told_as_a_reset_with_a_snapshot(world: World) -> None:
    await world.publish(10)
    async with following(world) as found:
        await world.publish(5)
        await until(lambda: len(found.events) >= 5)
        await world.redis.delete(keys.log(USER))
        await world.publish(5)
        await until(lambda: any(event.type == "reset" for event in found.events))
        [reset] = [event for event in found.events if event.type == "reset"]
        assert reset.data["jobs"]
        assert re.fullmatch(r"\d+-\d+", reset.id)


async def test_credential_that_does_not_hold_is_told_at_once(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.web.address, headers={"Authorization": "Bearer no.such.token"}) as http:
        with pytest.raises(ApiError) as raised:
            await anext(Follower(http).events())
    assert (raised.value.status, raised.value.code) == (401, "bad_token")


def test_pauses_are_drawn_from_a_growing_range() -> None:
    def ceilings(make: Callable[[], Backoff]) -> list[float]:
        pauses = [[backoff.next() for _ in range(8)] for backoff in (make() for _ in range(300))]
        return [max(row[step] for row in pauses) for step in range(8)]

    found = ceilings(lambda: Backoff(1, 30))
    for seen, most in zip(found, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert most * 0.8 < seen <= most
