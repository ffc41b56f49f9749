"""The page for administrators, in a real browser: live numbers, and for nobody else."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from app.core.vocabulary import LANGUAGES, Language
from tests.browser.scenes import sign_in
from tests.stack import Stack

_HEADING = {"en": "Status", "zh-CN": "状态"}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_administrator_sees_live_numbers_of_all_processes(
    browser: Browser, stack: Stack, language: Language
) -> None:
    context = await browser.new_context(base_url=stack.address, locale=language)
    await sign_in(context, stack, "admin")
    page, other = await context.new_page(), await context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/status" in request.url else None)
    await page.goto("/status")
    await expect(page.get_by_role("heading", level=1)).to_have_text(_HEADING[language])
    for side in ("web-", "worker-"):
        await expect(page.locator("#processes li").filter(has_text=side)).not_to_have_count(0)
    await expect(page.locator("#queues tr")).not_to_have_count(0)
    # This page follows a stream itself.
    await expect(page.locator("#number-streams")).to_have_text("1")
    # Somebody opens the projects, which follow another.
    await other.goto("/")
    await expect(page.locator("#number-streams")).to_have_text("2")
    drawn = await page.locator("#numbers polyline").first.get_attribute("points")
    assert len((drawn or "").split()) >= 2
    assert troubles == []
    assert asked == []
    await context.close()


async def test_numbers_come_where_the_stream_does_not(browser: Browser, stack: Stack) -> None:
    context = await browser.new_context(base_url=stack.address, locale="en-GB")
    await sign_in(context, stack, "admin")
    page = await context.new_page()
    await page.route("**/api/events*", lambda route: route.fulfill(status=502, body="a proxy in the way"))
    await page.goto("/status")
    await expect(page.locator("#processes li")).not_to_have_count(0)
    await expect(page.locator("#queues tr")).not_to_have_count(0)
    await context.close()


async def test_who_is_no_administrator_is_told_so(browser: Browser, stack: Stack) -> None:
    context = await browser.new_context(base_url=stack.address, locale="en-GB")
    await sign_in(context, stack, "bob")
    page = await context.new_page()
    await page.goto("/status")
    await expect(page.get_by_role("alert")).to_have_text("Only administrators may see this.")
    await expect(page.locator("#processes li")).to_have_count(0)
    await context.close()
