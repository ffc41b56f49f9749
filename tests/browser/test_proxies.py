"""Proxies that do not let streams through: the page goes on by long poll, and back to a stream when it can."""

from __future__ import annotations

import asyncio
import time

import pytest
from playwright.async_api import Browser

from tests.browser.nginx import RIGHT, WRONG, nginx_before
from tests.browser.world import world_of


@pytest.mark.parametrize("manner", WRONG)
async def test_page_behind_a_proxy_that_goes_wrong_and_right_again_misses_nothing(
    browser: Browser, manner: str
) -> None:
    # A proxy that cuts what is idle does no harm to a stream that is not.
    rate = 0.2 if manner == "cuts" else 10
    async with world_of() as world, nginx_before(world.web.address) as nginx:
        context = await world.browser(browser, nginx.address)
        await world.sign_in(context)
        watcher = await world.watch(context, probe=2)
        await watcher.becomes("live")
        async with world.publishing(rate):
            nginx.change(WRONG[manner])
            began = time.monotonic()
            await watcher.becomes("polling", timeout=40)
            print(f"polling after {time.monotonic() - began:.1f} s")
        await world.agree([watcher])
        # Nothing happens now: this is where a proxy loses patience.
        await asyncio.sleep(4)
        await watcher.becomes("polling")
        async with world.publishing(rate=10):
            nginx.change(RIGHT)
            began = time.monotonic()
            await watcher.becomes("live", timeout=40)
            print(f"live after {time.monotonic() - began:.1f} s")
        await world.publish(10)
        await world.agree([watcher])
        assert "offline" not in await watcher.states()
        await context.close()


async def test_page_that_is_opened_behind_a_proxy_that_holds_back_is_right_within_seconds(browser: Browser) -> None:
    async with world_of() as world, nginx_before(world.web.address, WRONG["holds back"]) as nginx:
        context = await world.browser(browser, nginx.address)
        await world.sign_in(context)
        watcher = await world.watch(context)
        began = time.monotonic()
        connection = await watcher.becomes("polling")
        print(f"polling after {time.monotonic() - began:.1f} s")
        assert connection["reason"] == "held-back"
        await world.publish(20)
        await world.agree([watcher])
        await context.close()
