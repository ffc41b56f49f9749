"""Proxies that do not let streams through: the page goes on by long poll, and back to a stream when it can."""

from __future__ import annotations

import asyncio
import time

import pytest
from playwright.async_api import Browser

from tests.browser.nginx import CUT_SECONDS, RIGHT, WRONG, nginx_before
from tests.browser.world import world_of
from tests.measurements import Measured


@pytest.mark.parametrize("manner", WRONG)
async def test_page_behind_a_proxy_that_goes_wrong_and_right_again_misses_nothing(
    browser: Browser, manner: str, measured: Measured
) -> None:
    # A proxy that cuts what is idle does no harm to a stream that is not.
    rate = 0.6 / CUT_SECONDS if manner == "cuts" else 10
    async with world_of() as world, nginx_before(world.web.address) as nginx:
        context = await world.browser(browser, nginx.address)
        await world.sign_in(context)
        watcher = await world.watch(context, probe=2)
        await watcher.becomes("live")
        async with world.publishing(rate):
            nginx.change(WRONG[manner])
            began = time.monotonic()
            await watcher.becomes("polling", timeout=40)
            measured(f"A proxy that {manner}: polling after {time.monotonic() - began:.1f} s")
        await world.agree([watcher])
        # Nothing happens now: this is where a proxy loses patience.
        await asyncio.sleep(CUT_SECONDS + 1)
        await watcher.becomes("polling")
        async with world.publishing(rate=10):
            nginx.change(RIGHT)
            began = time.monotonic()
            await watcher.becomes("live", timeout=40)
            measured(f"A proxy that {manner}, right again: live after {time.monotonic() - began:.1f} s")
        await world.publish(10)
        await world.agree([watcher])
        assert "offline" not in await watcher.states()
        await context.close()


async def test_page_that_is_opened_behind_a_proxy_that_holds_back_is_right_within_seconds(
    browser: Browser, measured: Measured
) -> None:
    async with world_of() as world, nginx_before(world.web.address, WRONG["holds back"]) as nginx:
        context = await world.browser(browser, nginx.address)
        await world.sign_in(context)
        watcher = await world.watch(context)
        began = time.monotonic()
        connection = await watcher.becomes("polling")
        measured(f"Opened behind a proxy that holds back: polling after {time.monotonic() - began:.1f} s")
        assert connection["reason"] == "held-back"
        await world.publish(20)
        await world.agree([watcher])
        await context.close()
