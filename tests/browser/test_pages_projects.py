"""The projects page: files in every way, finding, and what is said where something is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.visitor import visit
from tests.stack import Stack, running

DROP = """
files => {
  const carried = new DataTransfer();
  for (const [name, text] of files) carried.items.add(new File([text], name));
  const how = { dataTransfer: carried, bubbles: true, cancelable: true };
  for (const type of ['dragenter', 'dragover', 'drop']) {
    document.querySelector('h1').dispatchEvent(new DragEvent(type, how));
    if (type === 'dragover') window.veiled = !document.getElementById('drop-veil').hidden;
  }
}
"""
SHARES = """
() => {
  window.shares = [];
  new MutationObserver(() => window.shares.push(document.getElementById('upload-bar').value))
    .observe(document.getElementById('upload-percent'), { childList: true, characterData: true, subtree: true });
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def small(browser: Browser) -> AsyncIterator[Page]:
    """The page of a server that takes little."""
    with running(SMARTVOICE_MAX_UPLOAD_BYTES="200000") as stack:
        context = await browser.new_context(base_url=stack.address, locale="en-GB")
        yield await visit(context, stack, "sam")
        await context.close()


async def test_file_dropped_anywhere_becomes_a_project(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "dora")
    await page.evaluate(DROP, [["One.txt", "Chapter 1\n\nHello."], ["Two.txt", "x"]])
    await expect(page.locator("#create-error")).to_contain_text("One file at a time")
    await page.evaluate(DROP, [["Dropped.txt", "Chapter 1\n\nHello."]])
    assert await page.evaluate("window.veiled")
    await expect(page.locator("#drop-veil")).to_be_hidden()
    await expect(page.locator("#file-title")).to_contain_text("Dropped.txt")
    await expect(page.get_by_role("button", name="Create project")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Dropped")).to_be_visible()


async def test_file_that_is_too_large_is_refused_with_the_limit(small: Page, tmp_path: Path) -> None:
    book = tmp_path / "large.txt"
    book.write_bytes(b"word " * 200_000)
    await small.evaluate(SHARES)
    await small.get_by_label("Upload file").check()
    await small.locator("input[type=file]").set_input_files(book)
    await small.get_by_role("button", name="Create project").click()
    error = small.locator("#create-error")
    await expect(error).to_have_text("This is more than the 200 kB that the server accepts.")
    # All stays in place, for another try.
    await expect(small.locator("#file-title")).to_contain_text("large.txt")
    await small.locator("#language").click()
    await expect(error).to_be_visible()


async def test_upload_shows_how_far_it_is_and_can_be_ended(
    context: BrowserContext, stack: Stack, tmp_path: Path
) -> None:
    book = tmp_path / "long.txt"
    book.write_text("Chapter 1\n\n" + "A word or two. " * 150_000)
    page = await visit(context, stack, "ute")
    wire = await context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    await wire.send("Network.enable")
    await wire.send("Network.emulateNetworkConditions", slow)
    await page.evaluate(SHARES)
    await page.get_by_label("Upload file").check()
    await page.locator("input[type=file]").set_input_files(book)
    await page.get_by_role("button", name="Create project").click()
    await page.wait_for_function("() => window.shares.some((share) => share > 5 && share < 95)")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("#upload-work")).to_be_hidden()
    shares = await page.evaluate("window.shares")
    assert shares == sorted(shares)
    await expect(page.locator("#create-error")).to_be_hidden()
    await expect(page.locator(".project-item")).to_have_count(0)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("book.pdf", b"%PDF", "This format cannot be read"),
        ("book.epub", b"not a zip at all", "not what its name says"),
        ("book.txt", bytes(range(32)) * 20, "not a text"),
        ("book.txt", b" \n ", "no text in it"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_plain_words(
    context: BrowserContext, stack: Stack, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    page = await visit(context, stack, "rita")
    (tmp_path / name).write_bytes(content)
    await page.get_by_label("Upload file").check()
    await page.locator("input[type=file]").set_input_files(tmp_path / name)
    await page.get_by_role("button", name="Create project").click()
    await expect(page.locator("#create-error")).to_contain_text(said)


async def test_projects_are_found_by_title_and_state_and_renamed(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "finn")
    for title in ("Sea", "Seaside", "Mountain", "River"):
        body = {"text": "Once upon a time.", "title": title}
        assert (await page.request.post("/api/projects", data=body)).ok
    titles = page.locator(".project-item-title")
    await expect(titles).to_have_text(["River", "Mountain", "Seaside", "Sea"])
    await page.get_by_role("searchbox").fill("sea")
    await expect(titles).to_have_text(["Seaside", "Sea"])
    await page.get_by_label("Show").select_option("Failed")
    await expect(page.locator("#none-found")).to_be_visible()
    await page.get_by_role("button", name="Show all").click()
    await expect(titles).to_have_count(4)
    await page.get_by_role("button", name="Edit: River").click()
    dialog = page.locator("#project-dialog")
    await dialog.get_by_label("Title").fill("  ")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_have_text("Give it a title.")
    await dialog.get_by_label("Title").fill("Stream")
    await page.keyboard.press("Enter")
    await expect(titles.first).to_have_text("Stream")


async def test_offline_is_said_and_gets_right_by_itself(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "olga")
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await context.set_offline(True)
    await page.locator("#create textarea").fill("Once upon a time.")
    await page.get_by_role("button", name="Create project").click()
    await expect(page.locator("#create-error")).to_contain_text("cannot be reached")
    await context.set_offline(False)
    await page.get_by_role("button", name="Create project").click()
    await page.wait_for_url("**/projects/*")


async def test_list_that_cannot_be_loaded_says_so_and_is_tried_again(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "paul", "/account")

    async def fail(route: Route) -> None:
        await route.fulfill(status=503, json={"code": "redis_unavailable", "detail": "Away.", "status": 503})

    await page.route("**/api/projects", fail)
    # As soon as it were live it would load the list by itself.
    await page.route("**/api/events*", lambda route: route.abort())
    await page.goto("/")
    await expect(page.get_by_role("alert")).to_contain_text("The database cannot be reached right now")
    await expect(page.locator("#empty")).to_be_hidden()
    await page.unroute("**/api/projects")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#empty")).to_be_visible()
