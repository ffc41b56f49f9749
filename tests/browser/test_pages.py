"""The way of a newcomer through the pages, by clicking, in a real browser against the real thing."""

from __future__ import annotations

from playwright.async_api import BrowserContext, ConsoleMessage, Page, Route, expect

from tests.stack import Stack

BARS = """
(() => {
  window.seen = [];
  const look = () => {
    const bar = document.querySelector('.chapter progress');
    if (bar && bar.checkVisibility() && window.seen.at(-1) !== bar.value) window.seen.push(bar.value);
    requestAnimationFrame(look);
  };
  look();
})()
"""


async def _sign_in(context: BrowserContext, stack: Stack, user: str) -> None:
    """As the browser of somebody with an account."""
    stack.command("user", "add", user, "--password-stdin", stdin="correct horse battery\n")
    page = await context.new_page()
    await page.goto("/signin")
    await page.get_by_label("Name").fill(user)
    await page.get_by_label("Password").fill("correct horse battery")
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.wait_for_url("**/")
    await page.close()


async def test_link_signs_in_and_a_chapter_of_the_sample_is_narrated(page: Page, stack: Stack) -> None:
    lines: list[str] = []
    troubles: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        (troubles if message.type == "error" else lines).append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    await page.goto("/signin")
    await page.goto(stack.link)
    await page.wait_for_url(f"{stack.address}/")
    assert "link=" not in page.url
    await page.get_by_role("link", name="The Lamp Keeper").click()
    await expect(page.locator(".chapter")).to_have_count(4)
    await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    await page.evaluate(BARS)
    first = page.locator(".chapter").first
    await first.get_by_role("button", name="Generate audio").click()
    play = first.locator('[data-part="play"]')
    await expect(play).to_be_visible()
    bars = await page.evaluate("window.seen")
    assert len(bars) >= 2, bars
    assert bars == sorted(bars)
    await _check_sound(page, first.locator('[data-part="play"]'))
    _check_console(lines)
    # Asking who one is, on the sign-in page, is answered by 401, and Chromium calls that an error.
    assert [trouble for trouble in troubles if "401" not in trouble] == []


async def _check_sound(page: Page, play: object) -> None:
    await play.click()  # type: ignore[attr-defined] # a Locator
    await page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2")
    facts = await page.evaluate("(({duration, error}) => ({duration, error}))(document.querySelector('audio'))")
    assert facts["error"] is None
    assert facts["duration"] > 5


def _check_console(lines: list[str]) -> None:
    said = [line for line in lines if line.startswith("[SSE]")]
    project = next(index for index, line in enumerate(said) if line.startswith("[SSE] Subscribed to project: "))
    before = said[project - 3 : project]
    assert [line.rpartition(" ")[0] if "Auth" not in line else line for line in before] == [
        "[SSE] Connecting to",
        "[SSE] Connected:",
        "[SSE] Authenticated",
    ]
    assert "[SSE] Audio progress: 30% - Calling the TTS service" in said
    assert any(line.startswith("[SSE] Audio complete: /audios/") for line in said)


async def test_pasted_text_becomes_a_project_with_live_bars_in_two_tabs(context: BrowserContext, stack: Stack) -> None:
    await _sign_in(context, stack, "dora")
    page = await context.new_page()
    await page.goto("/")
    await page.locator("#language").click()
    await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    await page.locator("textarea[name=text]").fill("第一章 开始\n\n从前有一座山。\n\n第二章 后来\n\n山上有一座庙。")
    await page.locator("form button[type=submit]").first.click()
    await page.wait_for_url("**/projects/*")
    await expect(page.locator(".chapter")).to_have_count(2)
    other = await context.new_page()
    await other.goto(page.url)
    await expect(other.locator(".chapter")).to_have_count(2)
    await expect(other.locator("#connection")).to_have_attribute("data-state", "live")
    await page.locator("#generate-all").click()
    for tab in (page, other):
        await expect(tab.locator('[data-part="play"]:visible')).to_have_count(2)
    await page.reload()
    await expect(page.locator('[data-part="play"]:visible')).to_have_count(2)


async def test_voices_for_the_language_and_for_any_can_be_chosen(context: BrowserContext, stack: Stack) -> None:
    told = {"mul": ["alloy"], "zh-CN": ["wei"], "en-GB": ["bob"]}
    voices = {language: [{"id": id, "name": id} for id in ids] for language, ids in told.items()}

    async def answer(route: Route) -> None:
        await route.fulfill(json={"engine": "openai", "voices": voices})

    await _sign_in(context, stack, "fay")
    page = await context.new_page()
    await page.route("**/api/voices", answer)
    for text, offered in (("从前有一座山。", ["alloy", "wei"]), ("Once upon a time.", ["alloy", "bob"])):
        await page.goto("/")
        await page.locator("textarea[name=text]").fill(text)
        await page.locator("form button[type=submit]").first.click()
        await page.wait_for_url("**/projects/*")
        await expect(page.locator("#voice option")).to_have_text(["Default voice", *offered])


async def test_page_of_somebody_else_is_not_shown(context: BrowserContext, stack: Stack) -> None:
    page = await context.new_page()
    await page.goto("/projects/0123456789abcdef0123")
    await page.wait_for_url("**/signin*")
    await _sign_in(context, stack, "erin")
    await page.goto("/projects/0123456789abcdef0123")
    await expect(page.locator("#load-error")).to_be_visible()
