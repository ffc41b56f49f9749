"""What one does on a page to see more of it: opens a dialog, plays; for tests and pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import Page


async def settled(page: Page) -> None:
    """Until all is there: what was loaded, the connection, live numbers."""
    await page.locator("html[data-ready]").wait_for()
    if "/status" in page.url:
        await page.locator("#processes li").first.wait_for()
    elif "/signin" not in page.url:
        await page.locator('#connection[data-state="live"]').wait_for()
        await page.locator("#loading").wait_for(state="hidden")
    await page.evaluate("document.activeElement.blur()")


async def play(page: Page) -> None:
    """The second chapter, from its middle."""
    await page.locator('[data-part="play"]').nth(1).click()
    await page.wait_for_function("() => document.querySelector('audio').duration > 0")
    await page.evaluate("document.querySelector('audio').currentTime = 47")
    await page.wait_for_function("() => document.querySelector('audio').currentTime > 47")


async def change(page: Page) -> None:
    """A text in the editor, with a change that one is about to lose."""
    await page.locator('[data-part="edit"]').first.click()
    await page.locator("#chapter-dialog textarea").fill("Something else.")
    await page.keyboard.press("Escape")
    await page.locator('[data-part="unsaved"]').wait_for()


async def look_at_the_report(page: Page) -> None:
    """The editor of the second chapter, of which a sentence sounds odd."""
    await page.locator('[data-part="edit"]').nth(1).click()
    await page.locator(".suspects li").first.wait_for()


async def edit_the_project(page: Page) -> None:
    await page.locator("#edit").click()
    await page.locator("#project-dialog[open] select[name=dialogueVoice] option").nth(1).wait_for(state="attached")


async def edit_in_the_list(page: Page) -> None:
    await page.locator('.project-item [data-part="edit"]').last.click()
    await page.locator("#project-dialog[open]").wait_for()


async def ask_to_delete(page: Page) -> None:
    await page.locator("#delete").click()


async def look_at_what_was_left_out(page: Page) -> None:
    await page.locator("#found summary").click()
    await page.locator("#found-list li").first.wait_for()


View = Callable[[Page], Awaitable[None]]

VIEWS: dict[str, dict[str, View]] = {
    "projects": {"listed": edit_in_the_list},
    "taken": {"leftout": look_at_what_was_left_out},
    "done": {
        "ways": edit_the_project,
        "deleting": ask_to_delete,
        "report": look_at_the_report,
        "playing": play,
        "unsaved": change,
    },
}
"""By the scene that they belong to (`tests.browser.scenes`)."""
