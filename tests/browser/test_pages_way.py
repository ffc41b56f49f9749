"""The whole way through the pages, from a manuscript to a book one listens to: by clicking, and by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.visitor import THREE, paste, tab_to, visit
from tests.stack import Stack

AT_THE_END = "() => { const audio = document.querySelector('audio'); audio.currentTime = audio.duration - 0.2; }"
PLAYS = "() => document.querySelector('audio').currentTime > 0.1"


async def test_whole_way_by_clicking(context: BrowserContext, stack: Stack, tmp_path: Path) -> None:
    page = await visit(context, stack, "walker")
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    await expect(page.locator("#empty")).to_be_visible()
    book = tmp_path / "Sea & Wind.md"
    # The second is long enough to be paused before its end.
    long = "The wind rose, and rose. " * 12
    book.write_text(f"# One\n\nThe sea was calm.\n\n# Two\n\n{long}\n\n# Three\n\nThey came home.\n")
    await page.get_by_label("Upload file").check()
    await page.locator("input[type=file]").set_input_files(book)
    await expect(page.locator("#file-title")).to_contain_text("Sea & Wind.md")
    await page.get_by_role("button", name="Create project").click()
    await expect(page.get_by_role("heading", name="Sea & Wind")).to_be_visible()
    rows = page.locator(".chapter")
    await expect(rows).to_have_count(3)
    await page.get_by_role("button", name="Generate all").click()
    await expect(page.locator("#overall-text")).to_have_text("All 3 chapters are ready")
    await expect(page.locator(".chapter [data-part=state]")).to_have_text(["Ready"] * 3)
    await _listen(page)
    await _edit(page)
    await _rename_and_delete(page)
    assert troubles == []


async def _listen(page: Page) -> None:
    """The player goes on to the next chapter, at the speed chosen, and is found again where it was."""
    async with page.expect_download() as download:
        await page.get_by_role("link", name="Download: One").click()
    assert (await download.value).suggested_filename == "01 - One.mp3"
    await page.get_by_role("button", name="Play: One").click()
    await page.get_by_label("Speed").select_option("1.5")
    await page.wait_for_function(PLAYS)
    await page.evaluate(AT_THE_END)
    await expect(page.locator("#player-title")).to_have_text("Two")
    await page.wait_for_function(PLAYS)
    await page.get_by_role("button", name="Pause", exact=True).click()
    assert await page.evaluate("document.querySelector('audio').playbackRate") == 1.5
    assert await page.evaluate("navigator.mediaSession.metadata.title") == "Two"
    place = await page.evaluate("document.querySelector('audio').currentTime")
    await page.reload()
    await expect(page.locator("#player-title")).to_have_text("Two")
    await expect(page.get_by_label("Speed")).to_have_value("1.5")
    await page.wait_for_function(PLAYS)
    now = await page.evaluate("(({currentTime, paused}) => [currentTime, paused])(document.querySelector('audio'))")
    assert now == [place, True] or abs(now[0] - place) < 0.11, (now, place)
    await page.locator("#player-close").click()
    await expect(page.locator("#player")).to_be_hidden()


async def _edit(page: Page) -> None:
    """A text is not lost unasked; its audio is marked once it is changed, and can be made again."""
    await page.get_by_role("button", name="Edit: Three").click()
    dialog = page.locator("#chapter-dialog")
    await expect(dialog.get_by_label("Text")).to_have_value("They came home.")
    await dialog.get_by_label("Text").fill("They never came home.")
    await page.keyboard.press("Escape")
    await expect(dialog.get_by_text("Your changes are not saved.")).to_be_visible()
    await dialog.get_by_role("button", name="Keep editing").click()
    await expect(dialog.get_by_label("Text")).to_have_value("They never came home.")
    await dialog.get_by_label("Title").fill("The End")
    await dialog.get_by_role("button", name="Save").click()
    last = page.locator(".chapter").nth(2)
    await expect(last.locator("[data-part=title]")).to_have_text("The End")
    await expect(last.locator("[data-part=note]")).to_have_text("Text or voice changed since")
    await last.get_by_role("button", name="Regenerate").click()
    await expect(last.locator("[data-part=note]")).to_have_text("")
    await expect(last.locator("[data-part=state]")).to_have_text("Ready")


async def _rename_and_delete(page: Page) -> None:
    await page.get_by_role("button", name="Edit project").click()
    await page.locator("#project-dialog").get_by_label("Title").fill("The Sea")
    await page.locator("#project-dialog").get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="The Sea")).to_be_visible()
    await page.get_by_role("link", name="All projects").click()
    await page.get_by_role("button", name="Delete: The Sea").click()
    await expect(page.locator("#delete-text")).to_contain_text("The Sea")
    await page.get_by_role("button", name="Keep it").click()
    await expect(page.get_by_role("link", name="The Sea")).to_be_visible()
    await page.get_by_role("button", name="Delete: The Sea").click()
    await page.get_by_role("button", name="Delete project").click()
    await expect(page.locator("#empty")).to_be_visible()


async def test_whole_way_by_keyboard_alone(context: BrowserContext, stack: Stack) -> None:
    stack.command("user", "add", "kim", "--password-stdin", stdin="correct horse battery\n")
    page = await context.new_page()
    await page.goto("/signin")
    await expect(page.get_by_label("User name")).to_be_focused()
    await page.keyboard.type("kim")
    await page.keyboard.press("Tab")
    await page.keyboard.type("correct horse battery")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/")
    await tab_to(page, page.locator("#create textarea"))
    await page.keyboard.insert_text(THREE)
    await tab_to(page, page.get_by_role("button", name="Create project"))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/projects/*")
    await expect(page.locator(".chapter")).to_have_count(3)
    await _generate_by_keyboard(page)
    await _play_by_keyboard(page)
    await tab_to(page, page.locator("#delete"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("#empty")).to_be_visible()


async def _generate_by_keyboard(page: Page) -> None:
    first = page.locator(".chapter").first
    await tab_to(page, first.get_by_role("button", name="Generate audio"))
    await page.keyboard.press("Enter")
    # The focus stays where one was, with whatever the button has become.
    await expect(first.get_by_role("button", name="Regenerate")).to_be_focused()
    await tab_to(page, page.locator("#generate-all"))
    await page.keyboard.press("Enter")
    await expect(page.locator("#overall-text")).to_have_text("All 3 chapters are ready")


async def _play_by_keyboard(page: Page) -> None:
    await tab_to(page, page.locator(".chapter").first.locator("[data-part=play]"))
    await page.keyboard.press("Enter")
    await page.wait_for_function(PLAYS)
    await page.locator("body").evaluate("() => document.activeElement.blur()")
    await page.keyboard.press(" ")
    assert await page.evaluate("document.querySelector('audio').paused")
    await page.evaluate("document.querySelector('audio').currentTime = 0.5")
    await page.keyboard.press("ArrowLeft")
    assert await page.evaluate("document.querySelector('audio').currentTime") == 0
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#player-seek")).not_to_have_value("0")
    await tab_to(page, page.locator("#player-close"))
    await page.keyboard.press("Enter")


async def test_theme_and_language_are_kept(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "lena")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.evaluate(paper)
    await page.get_by_role("button", name="Dark theme").click()
    dark = await page.evaluate(paper)
    assert dark != light
    await page.locator("#language").click()
    await expect(page.get_by_role("heading", name="项目", exact=True)).to_be_visible()
    await paste(page, "第一章 开始\n\n从前有一座山。")
    assert await page.evaluate(paper) == dark
    await expect(page.locator("#generate-all")).to_have_text("全部生成")
    await page.get_by_role("button", name="浅色主题").click()
    assert await page.evaluate(paper) == light
    # What the system has is followed again.
    assert await page.evaluate("localStorage.getItem('smartvoice.theme')") is None
    assert re.fullmatch(r"第一章 开始", await page.locator(".chapter-title").inner_text())
