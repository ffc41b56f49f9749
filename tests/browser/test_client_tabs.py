"""One connection for all tabs of a browser: held by one, handed on when it closes, taken away when it freezes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext

from app.core.redis import keys
from tests.browser.world import USER, Watcher, World, world_of
from tests.measurements import Measured
from tests.support import until

_SET_BACK = "() => { const day = Date.now; Date.now = () => day() - 3_600_000; }"
_BURN = "ms => { const end = performance.now() + ms; while (performance.now() < end); }"


@pytest_asyncio.fixture(loop_scope="session")
async def world() -> AsyncIterator[World]:
    async with world_of() as world:
        yield world


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, world: World) -> AsyncIterator[BrowserContext]:
    context = await world.browser(browser)
    await world.sign_in(context)
    yield context
    await context.close()


async def _tabs(world: World, context: BrowserContext, count: int) -> list[Watcher]:
    """So many tabs, all of them live."""
    watchers = [await world.watch(context) for _ in range(count)]
    for watcher in watchers:
        await watcher.becomes("live")
    return watchers


async def _leaders(watchers: list[Watcher]) -> list[Watcher]:
    return [watcher for watcher in watchers if (await watcher.connection())["leads"]]


async def _new_leader(watchers: list[Watcher]) -> Watcher:
    """The one of them that leads and is live, once there is one."""

    async def found() -> Watcher | None:
        for watcher in watchers:
            if (await watcher.connection()).items() >= {"leads": True, "state": "live"}.items():
                return watcher
        return None

    leader = await until(found)
    assert isinstance(leader, Watcher)
    return leader


async def _connections(world: World) -> int:
    """How many streams and polls of the user the server holds."""
    return sum(int(held) for held in await world.redis.hvals(keys.streams(USER)))


async def _one_connection(world: World) -> None:
    async def one() -> bool:
        return await _connections(world) == 1

    await until(one)


@pytest.mark.timeout(180)
async def test_twelve_tabs_share_one_connection_which_outlives_the_tab_that_holds_it(
    world: World, context: BrowserContext, measured: Measured
) -> None:
    watchers = await _tabs(world, context, 12)
    await _one_connection(world)
    assert len(await _leaders(watchers)) == 1
    took = []
    async with world.publishing(rate=25):
        for _ in range(5):
            [leader] = await _leaders(watchers)
            watchers.remove(leader)
            began = time.monotonic()
            await leader.page.close()
            await _new_leader(watchers)
            took.append(f"{time.monotonic() - began:.2f} s")
    await world.agree(watchers)
    await _one_connection(world)
    measured(f"12 tabs: the connection was handed on within {', '.join(took)}")


@pytest.mark.parametrize("told", [True, False], ids=["told so", "not told so"])
async def test_frozen_tab_gives_way_and_is_right_again_when_it_wakes_up(
    world: World, context: BrowserContext, browser: Browser, told: bool, measured: Measured
) -> None:
    """Browsers tell a tab that they freeze it; where they do not, it keeps its lock and must be got past."""
    watchers = await _tabs(world, context, 3)
    [leader] = await _leaders(watchers)
    others = [watcher for watcher in watchers if watcher is not leader]
    process = await _process_of(browser, leader)
    if told:
        await leader.page.evaluate("document.dispatchEvent(new Event('freeze'))")
    with _stopped(process):
        began = time.monotonic()
        await world.publish(20)
        await _new_leader(others)
        measured(f"A frozen tab: its connection was taken over within {time.monotonic() - began:.2f} s")
        await world.publish(20)
        await world.agree(others)
    if told:
        await leader.page.evaluate("document.dispatchEvent(new Event('resume'))")
    await leader.becomes("live", leads=False)
    await world.publish(10)
    await world.agree(watchers)
    await _one_connection(world)


@pytest.mark.parametrize("back", [False, True], ids=["", "clock set back"])
async def test_tab_whose_script_hangs_gives_way(world: World, context: BrowserContext, back: bool) -> None:
    watchers = await _tabs(world, context, 3)
    [leader] = await _leaders(watchers)
    others = [watcher for watcher in watchers if watcher is not leader]
    if back:
        for watcher in watchers:
            await watcher.page.evaluate(_SET_BACK)
    hanging = asyncio.create_task(leader.page.evaluate(_BURN, 6000))
    await world.publish(20)
    await _new_leader(others)
    await world.agree(others)
    await hanging
    await leader.becomes("live", leads=False)
    await world.publish(10)
    await world.agree(watchers)


async def test_tab_that_comes_late_begins_where_its_snapshot_ends(world: World, context: BrowserContext) -> None:
    early = await world.watch(context)
    await early.becomes("live")
    async with world.publishing(rate=100):
        late = [await world.watch(context) for _ in range(3)]
        for watcher in late:
            await watcher.becomes("live", leads=False)
    await world.agree([early, *late])


async def test_tab_kept_for_the_way_back_lets_the_connection_go_and_comes_back(
    world: World, context: BrowserContext
) -> None:
    first, second = await _tabs(world, context, 2)
    await first.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
    await second.becomes("live", leads=True)
    await world.publish(20)
    await first.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await first.becomes("live", leads=False)
    await world.agree([first, second])


async def test_every_tab_has_its_own_connection_where_there_are_no_locks(world: World, context: BrowserContext) -> None:
    await context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    watchers = await _tabs(world, context, 2)
    assert len(await _leaders(watchers)) == 2
    await world.publish(20)
    await world.agree(watchers)


async def _process_of(browser: Browser, watcher: Watcher) -> int:
    """The process that a page lives in: the one that works while it does."""
    session = await browser.new_browser_cdp_session()

    async def worked() -> dict[int, float]:
        told = await session.send("SystemInfo.getProcessInfo")
        return {one["id"]: one["cpuTime"] for one in told["processInfo"] if one["type"] == "renderer"}

    before = await worked()
    await watcher.page.evaluate(_BURN, 600)
    after = await worked()
    await session.detach()
    return max(after, key=lambda id: after[id] - before.get(id, 0.0))


@contextmanager
def _stopped(process: int) -> Iterator[None]:
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)
