"""What a manuscript became is to be seen, and where chapters begin can be mended, in every tab at once."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import BrowserContext, expect

from tests.browser.visitor import paste, visit
from tests.manuscripts.books import BOOKS
from tests.stack import Stack

NUMBERED = "\n\n".join(
    f"{number}. The {name}\n\nThe {name} stood where it had always stood, and nobody went there.\n\nNot even the cat."
    for number, name in enumerate(("Gate", "Well", "Barn"), start=1)
)


async def test_guessed_chapter_is_merged_by_one_click_and_split_again(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "mender")
    await paste(page, NUMBERED, "Farm")
    other = await context.new_page()
    await other.goto(page.url)
    await expect(other.locator(".chapter")).to_have_count(3)
    # The first begins the book anyway; of the others it is a guess.
    await expect(page.locator(".chapter [data-part=doubt]:visible")).to_have_count(2)
    await page.get_by_role("button", name="Merge with previous: 2. The Well").click()
    for tab in (page, other):
        await expect(tab.locator(".chapter [data-part=title]")).to_have_text(["1. The Gate", "3. The Barn"])
    await page.get_by_role("button", name="Edit: 1. The Gate").click()
    text = page.locator("#chapter-dialog textarea")
    await expect(text).to_be_visible()
    await text.evaluate("area => area.setSelectionRange(...Array(2).fill(area.value.indexOf('The Well')))")
    await page.get_by_role("button", name="Split at cursor").click()
    await expect(page.locator("#chapter-dialog")).to_be_hidden()
    for tab in (page, other):
        titles = ["1. The Gate", "2. The Well", "3. The Barn"]
        await expect(tab.locator(".chapter [data-part=title]")).to_have_text(titles)
    await expect(page.locator(".chapter [data-part=doubt]:visible")).to_have_count(1)


async def test_split_saves_what_was_changed_first_and_wants_a_place(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "splitter")
    await paste(page, "One line.\n\nAnother line.", "Lines")
    await page.get_by_role("button", name="Edit: Lines").click()
    dialog = page.locator("#chapter-dialog")
    await expect(dialog.get_by_role("button", name="Merge with previous")).to_be_hidden()
    await dialog.get_by_role("button", name="Split at cursor").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Put the cursor into the line")
    await dialog.get_by_label("Text").fill("New line.\n\nAnd the last.")
    await dialog.get_by_role("button", name="Split at cursor").click()
    await expect(page.locator(".chapter [data-part=title]")).to_have_text(["Lines", "Lines (2)"])


async def test_book_shows_its_cover_and_what_was_left_out(
    context: BrowserContext, stack: Stack, tmp_path: Path
) -> None:
    page = await visit(context, stack, "collector")
    name, build = BOOKS["epub nav alone, nested parts"]
    book = tmp_path / name
    book.write_bytes(build())
    await page.get_by_label("Upload file").check()
    await page.locator("input[type=file]").set_input_files(book)
    await page.get_by_role("button", name="Create project").click()
    await expect(page.get_by_role("heading", name="Salt and Sugar")).to_be_visible()
    await expect(page.locator("#meta")).to_contain_text("Mira Dell")
    await page.wait_for_function("() => document.querySelector('#cover').naturalWidth > 0")
    await page.get_by_text("193 of 352 characters in the manuscript are read aloud").click()
    await expect(page.locator("#found-list li")).to_have_text(
        [
            "Lists of contents and navigation102 characters",
            "Title page, copyright page44 characters",
            "Footnotes and endnotes12 characters",
            "Page numbers1 character",
        ]
    )
