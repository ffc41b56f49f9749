"""What tests do in the pages again and again: go somewhere as somebody, make a project, reach a thing by keyboard."""

from __future__ import annotations

from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.browser.scenes import sign_in
from tests.stack import Stack

THREE = "Chapter 1\n\nThe sea was calm.\n\nChapter 2\n\nThe wind rose.\n\nChapter 3\n\nThey came home.\n"
_MAX_TABS = 80


async def visit(context: BrowserContext, stack: Stack, user: str, path: str = "/") -> Page:
    """A page as `user`, with its texts in place."""
    await sign_in(context, stack, user)
    page = await context.new_page()
    await page.goto(f"{stack.address}{path}")
    await page.locator("html[data-ready]").wait_for()
    return page


async def paste(page: Page, text: str = THREE, title: str = "") -> None:
    """Makes a project from `text` on the projects page; ends on its page, with its chapters there and all live."""
    await page.locator("#create textarea").fill(text)
    await page.locator("#create [name=title]").fill(title)
    await page.locator("#create [type=submit]").click()
    await page.wait_for_url("**/projects/*")
    await expect(page.locator(".chapter").first).to_be_visible()
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")


async def tab_to(page: Page, target: Locator) -> None:
    """Presses Tab until `target` has the focus, which must then be seen."""
    for _ in range(_MAX_TABS):
        await page.keyboard.press("Tab")
        if await target.evaluate("element => element === document.activeElement"):
            assert await target.evaluate("element => element.matches(':focus-visible')")
            return
    raise AssertionError(f"not reached by Tab: {target}")
