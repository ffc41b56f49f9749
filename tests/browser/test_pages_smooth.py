"""A book of 300 chapters stays smooth: a row is painted alone, and nothing moves while bars do."""

from __future__ import annotations

import statistics
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.browser.visitor import visit
from tests.measurements import Measured
from tests.stack import Stack

CHAPTERS = 300
GENERATED = 100
COMPLETED = '.chapter [data-state="completed"]'
# Each frame's own work, with the style and layout that it makes necessary, and how many rows it has touched.
FRAMES = """
(() => {
  window.frames = [];
  const plain = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (callback) => plain((time) => {
    const begun = performance.now();
    callback(time);
    document.body.getBoundingClientRect();
    window.frames.push(performance.now() - begun);
  });
})()
"""
WATCH = """
() => {
  window.shifts = [];
  new PerformanceObserver((list) => {
    for (const { value, sources, hadRecentInput } of list.getEntries()) {
      const moved = sources.map(({ node, previousRect: before, currentRect: after }) =>
        `${node?.className || node?.parentElement?.className} ${before.x},${before.y} → ${after.x},${after.y}`);
      if (!hadRecentInput) window.shifts.push([value, ...moved]);
    }
  }).observe({ type: 'layout-shift' });
  window.touched = new Set();
  const rowOf = (node) => (node instanceof Element ? node : node.parentElement).closest('.chapter');
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver((records) => records.forEach(({ target }) => window.touched.add(rowOf(target))))
    .observe(document.getElementById('chapter-list'), everything);
}
"""


def book(chapters: int) -> str:
    return "\n\n".join(f"Chapter {number}\n\nThe wind rose, {number} times." for number in range(1, chapters + 1))


@pytest.mark.timeout(300)
async def test_rows_are_painted_alone_and_nothing_moves(
    context: BrowserContext, stack: Stack, measured: Measured
) -> None:
    page = await visit(context, stack, "max")
    await page.add_init_script(FRAMES)
    await _open(page, CHAPTERS)
    third = page.locator(".chapter").nth(2)
    await third.get_by_role("button", name="Generate audio").click()
    await expect(third.locator("[data-part=state]")).to_have_text("Ready")
    alone = await page.evaluate("window.frames")
    assert await page.evaluate("window.touched.size") == 1
    await page.evaluate("window.frames.length = 0")
    await page.get_by_role("button", name="Generate all").click()
    await page.wait_for_function(
        "([what, least]) => document.querySelectorAll(what).length >= least", arg=[COMPLETED, GENERATED], timeout=90_000
    )
    # What is left of them changes at one stroke.
    await page.get_by_role("button", name="Cancel all").click()
    await expect(page.locator("#overall-share")).to_be_hidden(timeout=60_000)
    assert await page.locator(COMPLETED).count() < CHAPTERS
    many = await page.evaluate("window.frames")
    shifts = await _shifts(page)
    measured(
        f"{CHAPTERS} chapters, script, style and layout of a frame: one row {statistics.median(alone):.2f} ms, "
        f"while they are generated {statistics.median(many):.2f} ms (median of {len(alone)} and {len(many)}); "
        f"layout shifts: {len(shifts)}"
    )
    assert shifts == []


async def test_nothing_moves_on_a_phone(context: BrowserContext, stack: Stack) -> None:
    page = await visit(context, stack, "pia")
    await page.set_viewport_size({"width": 360, "height": 760})
    await page.add_init_script(FRAMES)
    await _open(page, 12)
    await _generate_all(page, 12)
    assert await _shifts(page) == []
    assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def _shifts(page: Page) -> list[list[Any]]:
    """Return the layout shifts, without those in which nothing moved but buttons that make way for another.

    A press brings that other button. Where the server takes more than half a second to answer, as on a busy machine,
    the browser no longer counts the shift as the press' own.
    """
    found: list[list[Any]] = await page.evaluate("window.shifts")
    return [shift for shift in found if not all(moved.startswith("button ") for moved in shift[1:])]


async def _open(page: Page, chapters: int) -> None:
    project = await (await page.request.post("/api/projects", data={"text": book(chapters)})).json()
    await page.goto(f"/projects/{project['id']}")
    await expect(page.locator(".chapter")).to_have_count(chapters)
    # The chapters may be told before the parsing is, whose panel makes way when it ends.
    await expect(page.locator("#parse")).to_be_hidden()
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await page.evaluate(WATCH)
    await page.evaluate("window.frames.length = 0")


async def _generate_all(page: Page, chapters: int) -> None:
    await page.get_by_role("button", name="Generate all").click()
    await expect(page.locator(COMPLETED)).to_have_count(chapters, timeout=90_000)
    await expect(page.locator("#overall-share")).to_be_hidden()
