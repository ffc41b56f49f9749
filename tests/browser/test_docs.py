"""The page that shows the description of the HTTP interface, in a real browser."""

from __future__ import annotations

import httpx
from playwright.async_api import Browser, expect

from tests.stack import Stack


async def test_page_shows_every_operation_and_finds_what_is_looked_for(browser: Browser, stack: Stack) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        document = (await http.get(f"{stack.address}/openapi.json")).json()
    context = await browser.new_context(base_url=stack.address, locale="en-GB", color_scheme="dark")
    page = await context.new_page()
    troubles: list[str] = []
    # What the content policy forbids is told there too.
    page.on("console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    await page.goto("/docs#schema-AudioComplete")
    operations, schemas = page.locator("#operations .docs-entry"), page.locator("#schemas .docs-entry")
    await expect(operations).to_have_count(sum(len(item) for item in document["paths"].values()))
    await expect(schemas).to_have_count(len(document["components"]["schemas"]))
    await expect(page.locator("#schema-AudioComplete")).to_contain_text("durationSeconds")
    await expect(page.locator("#schema-AudioComplete dl")).to_be_visible()

    await page.get_by_label("Search").fill("bad_cursor wait")
    await expect(operations.locator("visible=true")).to_have_count(1)
    await page.locator("#events_events > summary").click()
    for text in ("Last-Event-ID", "maximum: 60", "text/event-stream", "too_many_streams", "Needs a credential"):
        await expect(page.locator("#events_events")).to_contain_text(text)
    await page.locator("#events_events").get_by_role("link", name="ServerSentEvent").click()
    await expect(page.locator("#schema-ServerSentEvent")).to_contain_text("audio:progress")
    await expect(page.locator("#schema-ServerSentEvent dl").first).to_be_visible()

    await page.locator("#language").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("HTTP 接口")
    assert troubles == []
    await context.close()
