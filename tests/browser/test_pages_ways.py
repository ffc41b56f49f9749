"""How a book is read, chosen in the pages; and what sounds odd, found there and said again."""

from __future__ import annotations

from playwright.async_api import BrowserContext, expect

from tests.browser.visitor import paste, visit
from tests.stack import Stack

BOOK = """Siobhan walked along the harbour wall in the morning, and the ships were going out.

She counted them one after the other, as her father had done, until the last was gone.

777777777777777777777777777.

Then she went home, made a fire, and wrote down what she had seen in the morning.
"""


async def test_ways_are_chosen_and_audio_of_other_ways_is_marked(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "wilma")
    await paste(page, BOOK, "Harbour")
    row = page.locator(".chapter").first
    await row.get_by_role("button", name="Generate").click()
    await expect(row.locator("[data-part=state]")).to_have_text("Ready")

    await page.get_by_role("button", name="Edit project").click()
    dialog = page.locator("#project-dialog")
    await dialog.get_by_label("Pronunciations").fill("Siobhan")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Line 1 of the pronunciations has no")
    await dialog.get_by_label("Pronunciations").fill("Siobhan = Shivawn\nUS == you ess\n")
    await dialog.get_by_label("Pace").select_option("1.2")
    await dialog.get_by_label("Dialogue read by").select_option("en-us-female")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row.locator("[data-part=note]")).to_have_text("Text or voice changed since")

    await page.get_by_role("button", name="Edit project").click()
    await expect(dialog.get_by_label("Pronunciations")).to_have_value("Siobhan = Shivawn\nUS == you ess")
    await expect(dialog.get_by_label("Pace")).to_have_value("1.2")
    await expect(dialog.get_by_label("Dialogue read by")).to_have_value("en-us-female")
    await dialog.get_by_role("button", name="Cancel").click()
    download = row.get_by_role("link", name="Download")
    earlier = await download.get_attribute("href") or ""
    await row.get_by_role("button", name="Regenerate").click()
    # A job that has not begun yet would be done in the way that is chosen next.
    await expect(download).not_to_have_attribute("href", earlier)
    await expect(row.locator("[data-part=note]")).to_have_text("")

    await row.get_by_role("button", name="Edit").click()
    editor = page.locator("#chapter-dialog")
    await expect(editor.get_by_label("Read by")).to_have_value("")
    await editor.get_by_label("Pace").select_option("0.8")
    await editor.get_by_role("button", name="Save").click()
    await expect(row.locator("[data-part=note]")).to_have_text("Text or voice changed since")


async def test_what_sounds_odd_is_listed_and_said_again(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "oda")
    await paste(page, BOOK, "Harbour")
    row = page.locator(".chapter").first
    await row.get_by_role("button", name="Generate").click()
    await expect(row.locator("[data-part=state]")).to_have_text("Ready")
    before = await row.get_by_role("link", name="Download").get_attribute("href")
    await row.get_by_role("button", name="Edit").click()
    editor = page.locator("#chapter-dialog")
    await expect(editor.get_by_role("status")).to_have_text("One segment sounds odd")
    await expect(editor.locator(".suspects")).to_contain_text("Very slow")
    await editor.get_by_label("77777").uncheck()
    await expect(editor.get_by_role("button", name="Say these again")).to_have_attribute("aria-disabled", "true")
    await editor.get_by_label("77777").check()
    await editor.get_by_role("button", name="Say these again").click()
    await expect(editor).to_be_hidden()
    await expect(row.get_by_role("link", name="Download")).not_to_have_attribute("href", before or "")
    await expect(row.locator("[data-part=note]")).to_have_text("")
