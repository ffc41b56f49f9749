"""The book on the project page: named what it lacks, made, watched, downloaded, outdated, cancelled, failed."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zipfile import ZipFile

from playwright.async_api import BrowserContext, Page, expect

from app.cli import embedded_redis
from app.core.eventlog.log import EventLog
from app.core.jobs.progress import progress
from app.core.jobs.service import Claim, JobRequest, Jobs
from app.core.redis.client import connect
from app.core.settings import Settings
from app.core.vocabulary import ASSEMBLY
from tests.browser.visitor import paste, tab_to, visit
from tests.stack import Stack
from tests.support import NoDispatcher

PICTURES = os.environ.get("SMARTVOICE_TEST_PICTURES")


async def picture(page: Page, name: str) -> None:
    """For who wants to look: into the folder that is named."""
    if PICTURES:
        await page.screenshot(path=Path(PICTURES, f"{name}.png"), animations="disabled", full_page=True)


async def test_book_is_made_of_what_there_is_and_again_when_that_changes(
    context: BrowserContext, stack: Stack, tmp_path: Path
) -> None:
    page = await visit(context, stack, "binder")
    await paste(page, title="灯塔 & Stars")
    panel = page.locator("#book")
    # Without any audio there is nothing to make a book of; what it takes has its place already.
    await expect(panel.get_by_role("button", name="Make the book")).to_be_disabled()
    await page.locator(".chapter").first.get_by_role("button", name="Generate audio").click()
    await expect(page.locator("#book-missing-text")).to_contain_text("2 chapters have no audio yet:")
    await expect(page.locator("#book-missing-text")).to_contain_text("2. Chapter 2, 3. Chapter 3")
    await picture(page, "book-missing")
    await panel.get_by_label("Format").select_option("zip")
    await panel.get_by_role("button", name="Make it without them").click()
    await expect(page.locator("#book-files")).to_contain_text("without 2 chapters")
    await panel.get_by_role("button", name="Generate them").click()
    await expect(page.locator("#book-missing")).to_be_hidden()
    await expect(page.locator("#book-files")).to_contain_text("chapters changed since")
    await tab_to(page, page.locator("#book-make"))
    await page.keyboard.press("Enter")
    await expect(page.locator("#book-files")).not_to_contain_text("changed")
    async with page.expect_download() as coming:
        await panel.get_by_role("link", name="Download zip of mp3s").click()
    download = await coming.value
    assert download.suggested_filename == "灯塔 & Stars.zip"
    await download.save_as(tmp_path / "book.zip")
    with ZipFile(tmp_path / "book.zip") as archive:
        assert [name.rpartition("/")[2] for name in archive.namelist()] == [
            "01 - Chapter 1.mp3",
            "02 - Chapter 2.mp3",
            "03 - Chapter 3.mp3",
        ]
    await panel.get_by_label("Format").select_option("m4b")
    await panel.get_by_role("button", name="Make the book").click()
    await expect(panel.get_by_role("link", name="Download m4b, with chapter marks")).to_be_visible()
    await picture(page, "book-made")
    # It is all there after a reload, and in the other language.
    await page.reload()
    await expect(page.locator("#book-files a")).to_have_count(2)
    await page.locator("#language").click()
    await expect(page.locator("#book-title")).to_have_text("整本有声书")
    await expect(page.locator("#book-files a").first).to_have_text(re.compile("下载"))
    await picture(page, "book-zh")
    await page.set_viewport_size({"width": 360, "height": 760})
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await picture(page, "book-narrow")


@asynccontextmanager
async def hands_on(stack: Stack) -> AsyncIterator[Jobs]:
    """The jobs of a running stack, for who does a worker's part."""
    settings = Settings(redis_url=f"unix://{embedded_redis.socket_of(stack.folder)}", data_dir=stack.folder)
    async with connect(settings.redis) as redis:
        yield Jobs(redis, EventLog(redis, settings), settings, NoDispatcher())


async def test_book_under_way_shows_its_stage_can_be_cancelled_and_its_failure_is_told(
    context: BrowserContext, stack: Stack
) -> None:
    page = await visit(context, stack, "canceller")
    await paste(page)
    await page.locator("#generate-all").click()
    await expect(page.locator("#overall-text")).to_have_text("All 3 chapters are ready")
    project = page.url.rpartition("/")[2]
    async with hands_on(stack) as jobs:
        await _work(jobs, project)
        await expect(page.locator("#book-stage")).to_have_text("Encoding the chapters · about 42 s left")
        await expect(page.locator("#book-percent")).to_have_text("52%")
        await expect(page.locator("#book-make")).to_be_hidden()
        await expect(page.locator("#book-format")).to_be_disabled()
        await picture(page, "book-working")
        await page.get_by_role("button", name="Cancel the book").click()
        await expect(page.locator("#book-work")).to_be_hidden()
        await expect(page.locator("#book-make")).to_have_text("Make the book")
        claim = await _work(jobs, project)
        await expect(page.locator("#book-work")).to_be_visible()
        await jobs.fail(claim, "worker_lost", "Three workers were lost.")
    await expect(page.locator("#book-reason")).to_have_text("The work was interrupted too many times.")
    await picture(page, "book-failed")
    await page.locator("#book").get_by_role("button", name="Retry").click()
    await expect(page.locator("#book-files a")).to_have_count(1)
    await expect(page.locator("#book-reason")).to_be_hidden()


async def _work(jobs: Jobs, project: str) -> Claim:
    """A book at half of its chapters, by a worker of our own."""
    job, _ = await jobs.create("canceller", JobRequest(ASSEMBLY, project, "en", format="m4b"))
    claim = await jobs.claim("canceller", job.id, "start")
    told = progress(ASSEMBLY, "chapters", "en", done=50, total=100, eta_seconds=42)
    await jobs.report(claim, told, thin=False)
    return claim
