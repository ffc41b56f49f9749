"""What the pages show of work that takes its time, fails, waits for another try, or is called off."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import BrowserContext, Locator, expect

from tests.browser.scenes import Place, placed
from tests.browser.visitor import THREE, paste, visit
from tests.stack import Stack
from tests.tts_ways import failing

NOTIFICATIONS = """
window.told = [];
window.Notification = class extends EventTarget {
  static permission = 'default';
  static async requestPermission() { return (this.permission = 'granted'); }
  constructor(title, { body }) { super(); window.told.push([title, body]); }
};
"""
LOOK_ELSEWHERE = "Object.defineProperty(document, 'hidden', { value: true })"
SPEAKS = """
() => {
  window.spoken = [];
  const region = document.getElementById('announcements');
  new MutationObserver(() => window.spoken.push(region.textContent)).observe(region, { childList: true });
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def place() -> AsyncIterator[Place]:
    async with placed(SMARTVOICE_RETRY_SECONDS="30", SMARTVOICE_TTS_TRIES="1") as place:
        yield place


def _state(row: Locator) -> Locator:
    return row.locator("[data-part=state]")


async def test_failure_has_its_reason_and_can_be_retried_and_the_end_is_told(
    context: BrowserContext, place: Place
) -> None:
    page = await visit(context, place.stack, "rosa")
    await page.add_init_script(NOTIFICATIONS)
    await paste(page, THREE, "Sea")
    await page.evaluate(SPEAKS)
    await page.get_by_role("button", name="Tell me when it is done").click()
    await expect(page.locator("#notify")).to_have_attribute("aria-pressed", "true")
    place.voice.misbehave_always(failing(400, "No such words here."))
    first, second, third = [page.locator(".chapter").nth(number) for number in range(3)]
    await first.get_by_role("button", name="Generate audio").click()
    await expect(_state(first)).to_have_text("Failed")
    await expect(first.locator(".reason")).to_have_text("The voice service refused (400): No such words here.")
    await expect(page.locator("#overall-text")).to_contain_text("0 of 3 chapters ready · 1 failed · about 0:0")
    # In the other language too, as far as it can be said there.
    await page.locator("#language").click()
    await expect(first.locator(".reason")).to_contain_text("语音服务拒绝了请求")
    await page.locator("#language").click()

    place.voice.misbehave_always(failing(500))
    await second.get_by_role("button", name="Generate audio").click()
    await expect(_state(second)).to_have_text("A hitch; trying again")
    # After 15 to 30 s: rests are of random length.
    await expect(second.locator("[data-part=note]")).to_contain_text(re.compile(r"in [12]\d s|in 30 s"))
    await second.get_by_role("button", name="Cancel").click()
    await expect(_state(second)).to_have_text("Cancelled")

    place.voice.misbehave_always(None)
    place.voice.hold()
    await first.get_by_role("button", name="Retry").click()
    await expect(_state(first)).to_have_text("Calling the TTS service")
    await expect(page).to_have_title("30% · Sea – SmartVoice")
    await page.evaluate(LOOK_ELSEWHERE)
    place.voice.release()
    await expect(_state(first)).to_have_text("Ready")
    await expect(page).to_have_title("Sea – SmartVoice")
    assert await page.evaluate("window.told") == [["Sea", "1 of 3 chapters ready"]]
    await page.wait_for_function("() => window.spoken.some((text) => text.includes('Chapter 1: Ready'))")
    assert all("%" not in text for text in await page.evaluate("window.spoken"))
    await expect(_state(third)).to_have_text("No audio yet")


async def test_all_can_be_called_off(context: BrowserContext, place: Place) -> None:
    page = await visit(context, place.stack, "carl")
    await paste(page, "\n\n".join(f"Chapter {number}\n\nWord {number}." for number in range(1, 9)))
    place.voice.hold()
    await page.get_by_role("button", name="Generate all").click()
    await expect(page.locator("#overall-text")).to_have_text("Generating 8 · 0 of 8 chapters ready")
    await expect(page.get_by_role("button", name="Cancel all")).to_be_focused()
    await expect(page.locator(".chapter progress:visible")).to_have_count(2)
    await page.keyboard.press("Enter")
    await expect(page.locator(".chapter [data-part=state]")).to_have_text(["Cancelled"] * 8)
    await expect(page.locator("#overall-share")).to_be_hidden()
    place.voice.release()


async def test_connection_is_told_as_it_is(context: BrowserContext, stack: Stack) -> None:
    """In the words of the client as it is and as it will be."""
    page = await visit(context, stack, "conny")
    said = await page.evaluate(
        """async () => {
          const { ConnectionLabel } = await import('/static/js/components/connection-label.js');
          const [root, text] = [document.createElement('p'), document.createElement('span')];
          const label = new ConnectionLabel(root, text);
          const states = [{ state: 'live' }, { state: 'polling' }, { state: 'offline', retryInSeconds: 5 },
            { state: 'retrying', seconds: 7 }, { state: 'connecting' }, { state: 'signed-out' }];
          return states.map((state) => (label.show(state), [root.dataset.state, text.textContent]));
        }"""
    )
    assert said == [
        ["live", "Live"],
        ["polling", "Polling"],
        ["offline", "Offline, retrying in 5 s"],
        ["offline", "Offline, retrying in 7 s"],
        ["connecting", "Connecting…"],
        ["signed-out", "Signed out"],
    ]
