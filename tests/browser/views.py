"""What one does on a page to see more of it: opens a dialog, plays; for tests and pictures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from playwright.async_api import Page, Route


async def settled(page: Page) -> None:
    """Until all is there: what was loaded, the connection, live numbers."""
    await page.locator("html[data-ready]").wait_for()
    if "/status" in page.url:
        await page.locator("#processes li").first.wait_for()
    elif "/account" in page.url:
        await page.locator("#session-list li").first.wait_for()
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


async def enrol(page: Page) -> None:
    """The second factor as one is about to turn it on."""
    await page.locator("#factor-begin").click()
    await page.locator("#enrol-picture svg").wait_for()


async def keep_recovery_codes(page: Page) -> None:
    """The codes that are shown when it is on, without turning it on: the next picture is of the same user."""
    codes = [f"{first}bcd-efgh-jkmn-pqrs" for first in "23456789ab"]
    await page.route("**/second-factor/enable", lambda route: route.fulfill(json={"recoveryCodes": codes}))
    await enrol(page)
    await page.locator("#enrol-dialog [name=code]").fill("123456")
    await page.locator("#enrol-dialog [name=password]").fill("anything")
    await page.locator('#enrol-dialog [data-part="save"]').click()
    await page.locator("#codes-list li").first.wait_for()


async def turn_the_second_factor_off(page: Page) -> None:
    """The question before, of a second factor that is on for this page alone."""

    async def on(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(json=await answer.json() | {"secondFactor": True, "recoveryCodes": 2})

    await page.route("**/api/account", on)
    await page.reload()
    await settled(page)
    await page.locator("#factor-disable").click()
    await page.locator("#confirm-dialog[open]").wait_for()


async def fail_to_change_the_password(page: Page) -> None:
    await page.locator("#password-form [name=current]").fill("anything")
    await page.locator("#password-form [name=next]").fill("Password123!")
    await page.locator("#password-form [type=submit]").click()
    await page.locator('#password-form [data-part="error"]').wait_for()


async def ask_for_the_code(page: Page) -> None:
    """The second step of signing in."""
    refusal = {"status": 401, "code": "second_factor_required", "title": "Sign in first", "detail": ""}
    await page.route("**/api/session", lambda route: route.fulfill(status=401, json=refusal))
    await page.locator("#sign-in [name=username]").fill("alice")
    await page.locator("#sign-in [name=password]").fill("anything")
    await page.locator("#sign-in [type=submit]").click()
    await page.locator("#second-step").wait_for()


View = Callable[[Page], Awaitable[None]]

VIEWS: dict[str, dict[str, View]] = {
    "projects": {"listed": edit_in_the_list},
    "signin": {"code": ask_for_the_code},
    "account": {
        "password": fail_to_change_the_password,
        "enrolling": enrol,
        "codes": keep_recovery_codes,
        "disabling": turn_the_second_factor_off,
    },
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
