"""axe-core finds nothing to mend: on every page, in every state, light and dark, in both languages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, expect

from app.core.messages import LANGUAGES, Language
from tests.browser.scenes import Place, placed, scenes
from tests.npm import node_modules

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = """
async (tags) => {
  const asked = { runOnly: { type: 'tag', values: tags }, resultTypes: ['violations'] };
  return (await axe.run(document, asked)).violations;
}
"""
PLANTED = """
async (tags) => {
  const picture = document.body.appendChild(document.createElement('img'));
  const { violations } = await axe.run(document, { runOnly: { type: 'tag', values: tags } });
  picture.remove();
  return violations.map(({ id }) => id);
}
"""
FADED_IN = """
() => {
  const once = document.getAnimations().filter((animation) => animation.effect.getTiming().iterations === 1);
  return Promise.all(once.map((animation) => animation.finished));
}
"""


@pytest.fixture(scope="session")
def axe() -> str:
    return (node_modules("axe-core", "^4") / "axe-core" / "axe.min.js").read_text()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with placed() as place:
        yield place


@pytest.mark.timeout(400)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_axe_finds_nothing(browser: Browser, place: Place, axe: str, language: Language) -> None:
    found = {}
    paths = await scenes(place, language)
    for theme in THEMES:
        context = await browser.new_context(base_url=place.stack.address, locale=language, color_scheme=theme)
        page = await context.new_page()
        # A tool of the test's own, which the policy of our pages would not let in.
        await page.add_init_script(axe)
        await page.goto("/signin")
        await page.locator("html[data-ready]").wait_for()
        assert "image-alt" in str(await page.evaluate(PLANTED, RULES))
        found[f"signin {theme}"] = await _violations(page)
        for name, (user, path) in paths.items():
            await place.sign_in(context, user)
            await page.goto(path)
            await expect(page.locator("#connection")).to_have_attribute("data-state", "live")
            found[f"{name} {theme}"] = await _violations(page)
            for button in ("#edit", "#delete") if name == "done" else ():
                await page.locator(button).click()
                found[f"dialog of {button} {theme}"] = await _violations(page)
                await page.keyboard.press("Escape")
        await page.goto(paths["done"][1])
        await _use(page)
        found[f"player and editor {theme}"] = await _violations(page)
        await context.close()
    place.voice.release()
    assert {where: violations for where, violations in found.items() if violations} == {}


async def _use(page: Page) -> None:
    """The player open, and over it a text in the editor with a change that one is about to lose."""
    await page.locator('[data-part="play"]').first.click()
    await page.locator('[data-part="edit"]').first.click()
    await page.locator("#chapter-dialog textarea").fill("Something else.")
    await page.keyboard.press("Escape")


async def _violations(page: Page) -> list[str]:
    # What fades in has its colours only at the end of that.
    await page.evaluate(FADED_IN)
    return [
        f"{one['id']}: {[node['target'] for node in one['nodes']][:3]} {one['nodes'][0]['failureSummary']}"
        for one in await page.evaluate(RUN, RULES)
    ]
