"""A real browser: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.browser.coverage import PROPERTY, Coverage
from tests.programs import program
from tests.stack import Stack

_QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; without it these tests are skipped at a desk, and fail where everything must be there."""
    return program("chromium", "chromium-browser", "google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives all of these tests one loop, on which the browser lives that they share."""
    shared = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if Path(__file__).parent in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(shared, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_QUIET)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser, stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(base_url=stack.address, locale="en-GB")
    context.set_default_timeout(20_000)
    coverage = Coverage()
    context.on("page", coverage.follow)
    taking = asyncio.create_task(coverage.keep_taking())
    yield context
    taking.cancel()
    with suppress(asyncio.CancelledError):
        await taking
    request.node.user_properties.append((PROPERTY, await coverage.taken()))
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    return await context.new_page()
