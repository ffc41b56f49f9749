"""The client module in a real browser: one page, and what may happen to its connection."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from app.auth.bearer_tokens import Tokens
from tests.browser.world import LONG_SECONDS, USER, World, world_of
from tests.support import until


@pytest_asyncio.fixture(loop_scope="session")
async def world() -> AsyncIterator[World]:
    async with world_of(heartbeat_seconds=1) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, world: World) -> AsyncIterator[BrowserContext]:
    context = await world.browser(browser)
    await world.sign_in(context)
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


async def test_page_is_right_again_after_redis_was_away(world: World, context: BrowserContext) -> None:
    watcher = await world.watch(context)
    await watcher.becomes("live")
    await world.publish(5)
    world.rig.redis.kill()
    await asyncio.sleep(LONG_SECONDS)
    await world.rig.redis.restart()
    await world.publish(10)
    await watcher.becomes("live", timeout=40)
    await world.agree([watcher])


async def test_page_is_right_again_after_the_browser_was_offline(world: World, context: BrowserContext) -> None:
    watcher = await world.watch(context)
    await watcher.becomes("live")
    await context.set_offline(True)
    await watcher.becomes("offline")
    await world.publish(20)
    await asyncio.sleep(LONG_SECONDS)
    await context.set_offline(False)
    await watcher.becomes("live")
    await world.agree([watcher])


async def test_page_is_right_again_after_the_machine_slept(world: World, context: BrowserContext) -> None:
    watcher = await world.watch(context)
    await watcher.becomes("live")
    await world.publish(5)
    browser = await context.new_cdp_session(watcher.page)
    await browser.send("Page.setWebLifecycleState", {"state": "frozen"})
    await world.publish(20)
    await asyncio.sleep(LONG_SECONDS)
    await world.publish(5)
    await browser.send("Page.setWebLifecycleState", {"state": "active"})
    await watcher.becomes("live")
    await world.agree([watcher])


async def test_server_that_says_goodbye_alarms_nobody(world: World, context: BrowserContext) -> None:
    watcher = await world.watch(context)
    await watcher.becomes("live")
    await world.publish(5)
    world.web.send(signal.SIGTERM)
    await watcher.becomes("connecting", reason="going-away")
    world.web.wait()
    await world.web.restart()
    await world.publish(5)
    await watcher.becomes("live", timeout=40)
    await world.agree([watcher])
    assert "polling" not in await watcher.states()


async def test_signing_out_in_one_tab_signs_out_all(world: World, context: BrowserContext) -> None:
    watchers = [await world.watch(context) for _ in range(3)]
    for watcher in watchers:
        await watcher.becomes("live")
    assert (await context.request.delete("/api/session")).ok
    for watcher in watchers:
        await watcher.becomes("signed-out", leads=False)


async def test_page_of_one_user_never_hears_of_another_in_the_same_browser(
    world: World, context: BrowserContext
) -> None:
    hers = await world.watch(context)
    await hers.becomes("live", leads=True)
    await world.publish(10)
    await world.agree([hers])
    # His sign-in ends hers. Her page connects anew, with the cookie that is now his.
    await world.sign_in(context, "bob")
    his = await world.watch(context)
    await his.becomes("live", leads=True)
    await hers.becomes("signed-out")
    heard = await hers.ids()
    await world.publish(10)
    assert await hers.ids() == heard
    assert await his.ids() == []


async def test_stream_goes_on_with_a_fresh_token_before_the_last_one_ends(world: World, browser: Browser) -> None:
    context = await world.browser(browser)
    page = await context.new_page()
    await page.goto("/bare")
    # The first is about to end: the server says so 30 s before.
    seconds = iter([33, 33, 3600, 3600])
    tokens = Tokens(world.rig.settings.signing_key())
    await page.expose_function("freshToken", lambda: tokens.sign(USER, next(seconds)))
    watcher = await world.begin(page, token="freshToken")
    first = await watcher.becomes("live")

    async def renewed() -> bool:
        return bool((await watcher.connection()).get("connectionId") != first["connectionId"])

    async with world.publishing(rate=50):
        await until(renewed)
    await world.agree([watcher])
    assert await watcher.states() == ["connecting", "live"]
    await context.close()
