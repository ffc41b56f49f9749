"""The client module in a real browser: one page, and what may happen to its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, BrowserContext

from tests.browser.world import LONG_SECONDS, World, world_of


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of(heartbeat_seconds=1) as world:
        yield world


@pytest.fixture
async def context(browser: Browser, world: World) -> AsyncIterator[BrowserContext]:
    context = await world.sign_in(browser)
    yield context
    await context.close()


async def test_page_is_told_everything_and_says_so_on_the_console(world: World, context: BrowserContext) -> None:
    watcher = await world.watch(context)
    await watcher.becomes("live", leads=True)
    await world.publish(11)
    await world.agree([watcher])
    said = await watcher.lines()
    assert said[0] == "[SSE] Connecting to /api/events"
    assert said[1].startswith("[SSE] Connected: ")
    assert said[2] == "[SSE] Authenticated"
    assert said[3:6] == [
        "[SSE] Audio progress: 0% - Waiting to start",
        "[SSE] Audio progress: 10% - Starting audio generation",
        "[SSE] Audio progress: 37% - Calling the TTS service",
    ]
    assert said[-1] == "[SSE] Audio complete: /audios/x.mp3"
    assert await watcher.states() == ["connecting", "live"]


async def test_page_is_right_again_after_the_server_was_away(world: World, context: BrowserContext) -> None:
    watcher = await world.watch(context)
    await watcher.becomes("live")
    await world.publish(5)
    world.web.kill()
    connection = await watcher.becomes("offline")
    assert 0 <= connection["retryInSeconds"] <= 30
    await world.publish(5)
    await asyncio.sleep(LONG_SECONDS)
    await world.web.restart()
    await world.publish(5)
    await watcher.becomes("live", timeout=40)
    await world.agree([watcher])
    assert "polling" not in await watcher.states()
