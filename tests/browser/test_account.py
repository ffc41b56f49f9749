"""One's own account, as a person changes it: password, second factor, browsers that are signed in."""

from __future__ import annotations

import asyncio
import time

import httpx
import pyotp
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.scenes import PASSWORD, PHONE
from tests.browser.visitor import tab_to, visit
from tests.stack import Stack

NEW = "a long walk to the lighthouse"


async def account(stack: Stack, name: str) -> None:
    words = ("user", "add", name, "--password-stdin")
    await asyncio.to_thread(stack.command, *words, stdin=f"{PASSWORD}\n")


async def sign_in(page: Page, stack: Stack, name: str, password: str = PASSWORD) -> None:
    """As far as the first step goes."""
    await page.goto(f"{stack.address}/signin?next=/account")
    await page.locator("#sign-in [name=username]").fill(name)
    await page.locator("#sign-in [name=password]").fill(password)
    await page.locator("#sign-in [type=submit]").click()


async def on_the_account_page(page: Page) -> None:
    await page.wait_for_url("**/account")
    await expect(page.locator("#session-list li").first).to_be_visible()


async def enrolled(page: Page) -> tuple[pyotp.TOTP, list[str]]:
    """Sets the second factor up; the app, and the recovery codes as they are shown."""
    dialog = page.locator("#enrol-dialog")
    await page.locator("#factor-begin").click()
    await expect(dialog.locator("svg")).to_be_visible()
    secret = (await dialog.locator("code").text_content() or "").replace(" ", "")
    app = pyotp.TOTP(secret)
    assert secret in (await dialog.locator("a").get_attribute("href") or "")
    await dialog.locator("[name=code]").fill("000000")
    await dialog.locator("[name=password]").fill(PASSWORD)
    await dialog.locator("[type=submit]").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("wrong or was used")
    await dialog.locator("[name=code]").fill(app.now())
    await dialog.locator("[type=submit]").click()
    shown = page.locator("#codes-list li")
    await expect(shown).to_have_count(10)
    codes = await shown.all_text_contents()
    await page.locator("#codes-dialog [value=done]").click()
    await expect(page.locator("#factor-state")).to_have_text("On")
    return app, codes


async def test_second_factor_is_set_up_asked_for_and_turned_off(
    browser: Browser, context: BrowserContext, stack: Stack
) -> None:
    await account(stack, "factor-owner")
    page = await context.new_page()
    await sign_in(page, stack, "factor-owner")
    await on_the_account_page(page)
    app, codes = await enrolled(page)
    # The browser that turned it on stays signed in.
    await page.reload()
    await expect(page.locator("#factor-text")).to_contain_text("10 recovery codes")
    await page.locator("#sign-out").click()
    await page.wait_for_url("**/signin*")
    await sign_in(page, stack, "factor-owner")
    step = page.locator("#second-step")
    await step.locator("[name=code]").fill("000000")
    await step.locator("[type=submit]").click()
    await expect(page.get_by_role("alert")).to_contain_text("wrong or was used")
    await page.locator("#other-code").click()
    await step.locator("[name=code]").fill(codes[0])
    await page.keyboard.press("Enter")
    await on_the_account_page(page)
    await page.locator("#factor-disable").click()
    dialog = page.locator("#confirm-dialog")
    await dialog.locator("[name=password]").fill(PASSWORD)
    await dialog.locator("[name=code]").fill(app.at(time.time() + app.interval))
    await dialog.locator("[type=submit]").click()
    await expect(page.locator("#factor-state")).to_have_text("Off")
    await expect(page.locator(".toast")).to_contain_text("The second factor is off")


async def test_password_is_changed_and_other_pages_of_the_browser_go_on(context: BrowserContext, stack: Stack) -> None:
    await account(stack, "password-owner")
    page = await context.new_page()
    await sign_in(page, stack, "password-owner")
    await on_the_account_page(page)
    other = await context.new_page()
    await other.goto(f"{stack.address}/")
    await expect(other.locator("#connection")).to_have_attribute("data-state", "live")
    form = page.locator("#password-form")
    for current, new, said in (
        ("wrong", NEW, "not your present password"),
        (PASSWORD, "Password123!", "among the first"),
        (PASSWORD, "short", "too few"),
    ):
        await form.locator("[name=current]").fill(current)
        await form.locator("[name=next]").fill(new)
        await form.locator("[type=submit]").click()
        await expect(form.get_by_role("alert")).to_contain_text(said)
    await form.locator("[name=shown]").check()
    await expect(form.locator("[name=next]")).to_have_attribute("type", "text")
    await form.locator("[name=next]").fill(NEW)
    await form.locator("[type=submit]").click()
    await expect(page.locator(".toast")).to_contain_text("Your password is changed")
    await expect(form.locator("[name=next]")).to_have_value("")
    await expect(form.locator("[name=next]")).to_have_attribute("type", "password")
    # It comes back by itself, at worst by way of the sign-in page.
    await expect(other.locator("#connection")).to_have_attribute("data-state", "live")
    assert other.url == f"{stack.address}/"
    await page.reload()
    await on_the_account_page(page)


async def test_other_browsers_are_seen_and_signed_out_by_keyboard(context: BrowserContext, stack: Stack) -> None:
    await account(stack, "sessions-owner")
    async with httpx.AsyncClient(base_url=stack.address, headers={"User-Agent": PHONE}, trust_env=False) as phone:
        assert (await phone.post("/api/session", json={"username": "sessions-owner", "password": PASSWORD})).is_success
        page = await visit(context, stack, "sessions-owner")
        link = page.get_by_role("link", name="Account")
        await tab_to(page, link)
        await page.keyboard.press("Enter")
        await on_the_account_page(page)
        rows = page.locator("#session-list li")
        await expect(rows).to_have_count(2)
        await expect(rows.first).to_contain_text("This browser")
        await expect(rows.first).to_contain_text("on Linux")
        await expect(rows.nth(1)).to_contain_text("Safari on iPhone")
        await expect(rows.nth(1)).to_contain_text("127.0.0.1")
        await tab_to(page, page.get_by_role("button", name="Sign out: Safari on iPhone"))
        await page.keyboard.press("Enter")
        await expect(rows).to_have_count(1)
        await expect(page.locator("#sessions-title")).to_be_focused()
        assert (await phone.get("/api/session")).status_code == httpx.codes.UNAUTHORIZED
    # A dialog that is left gives the focus back.
    begin = page.locator("#factor-begin")
    await begin.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#enrol-dialog svg")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(begin).to_be_focused()


async def test_who_came_by_a_link_is_told_that_there_is_no_password(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "link-owner", "/account")
    await on_the_account_page(page)
    await expect(page.locator("#no-password")).to_be_visible()
    await expect(page.locator("#password")).to_be_hidden()
    await expect(page.locator("#factor")).to_be_hidden()
    await page.locator("#language").click()
    await expect(page.locator("h1")).to_have_text("账户")
    await expect(page.locator("#session-list")).to_contain_text("当前浏览器")


async def test_who_is_signed_in_does_not_stay_on_the_sign_in_page(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "passer-by")
    await page.goto(f"{stack.address}/signin?next=/account")
    await on_the_account_page(page)
