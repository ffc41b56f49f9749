"""axe-core finds nothing to mend: on every page, in every state and dialog, in both languages, light and dark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest
from playwright.async_api import Browser, Page, ViewportSize

from app.core.vocabulary import LANGUAGES
from tests.browser.scenes import Place, placed, scenes
from tests.browser.views import VIEWS, settled
from tests.npm import node_modules

Themes = tuple[Literal["light", "dark"], ...]
THEMES: Themes = ("light", "dark")
# So that nothing lies half behind the bars at the top and the bottom, wherever a view has scrolled to.
TALL: ViewportSize = {"width": 1280, "height": 2400}
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RULES = {"type": "tag", "values": TAGS}
# What the other theme can change: nothing but colours differs between them.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
# What is open over the page is looked at alone: the rest has been.
RUN = """
async (rules) => {
  const asked = { runOnly: rules, resultTypes: ['violations'] };
  return (await axe.run(document.querySelector('dialog[open]') ?? document, asked)).violations;
}
"""
PLANTED = """
async (rules) => {
  const picture = document.body.appendChild(document.createElement('img'));
  const words = document.body.appendChild(document.createElement('p'));
  words.textContent = 'Hardly to be read.';
  words.style = 'color: light-dark(#eee, #222)';
  const { violations } = await axe.run(document, { runOnly: rules });
  picture.remove();
  words.remove();
  return violations.map(({ id }) => id);
}
"""
FADED_IN = """
() => {
  const once = document.getAnimations().filter((animation) => animation.effect.getTiming().iterations === 1);
  return Promise.all(once.map((animation) => animation.finished));
}
"""
CLOSE = "() => document.querySelectorAll('dialog[open]').forEach((dialog) => dialog.close())"


@pytest.fixture(scope="session")
def axe() -> str:
    return (node_modules("axe-core", "^4") / "axe-core" / "axe.min.js").read_text()


@pytest.mark.timeout(200)
async def test_axe_finds_nothing(browser: Browser, axe: str) -> None:
    found: dict[str, list[str]] = {}
    async with placed() as place:
        # What they are about is in one language, the pages are looked at in both.
        seen = await scenes(place, "zh-CN", chapters=5)
        for language in LANGUAGES:
            context = await browser.new_context(
                base_url=place.stack.address, locale=language, reduced_motion="reduce", viewport=TALL
            )
            page = await context.new_page()
            # A tool of the test's own, which the policy of our pages would not let in.
            await page.add_init_script(axe)
            # Colours are the same in every language.
            themes = THEMES if language == LANGUAGES[0] else THEMES[:1]
            found |= {f"{what} ({language})": bad async for what, bad in _looked_at(place, page, seen, themes)}
            await context.close()
        place.voice.release()
    assert {where: violations for where, violations in found.items() if violations} == {}


async def _looked_at(
    place: Place, page: Page, seen: dict[str, tuple[str, str]], themes: Themes
) -> AsyncIterator[tuple[str, list[str]]]:
    """What axe finds on each page and in each view of it."""
    await page.goto("/signin")
    await settled(page)
    yield "signin", await _violations(page, themes)
    assert {"image-alt", "color-contrast"} <= set(await page.evaluate(PLANTED, RULES))
    for what, view in VIEWS["signin"].items():
        await view(page)
        yield what, await _violations(page, themes)
        await page.unroute_all()
    for name, (user, path) in seen.items():
        # The page before is somebody else's, or of a session that ends now: it would go to the sign-in page.
        await page.goto("about:blank")
        await place.sign_in(page.context, user)
        await page.goto(path)
        await settled(page)
        yield name, await _violations(page, themes)
        for what, view in VIEWS.get(name, {}).items():
            await view(page)
            yield what, await _violations(page, themes)
            await page.evaluate(CLOSE)
            await page.unroute_all()


async def _violations(page: Page, themes: Themes) -> list[str]:
    """In light, then in dark."""
    found = []
    for theme, rules in zip(themes, (RULES, COLOURS), strict=False):
        await page.emulate_media(color_scheme=theme)
        # What fades in has its colours only at the end of that.
        await page.evaluate(FADED_IN)
        found += [
            f"{theme}: {one['id']}: {[node['target'] for node in one['nodes']][:3]} {one['nodes'][0]['failureSummary']}"
            for one in await page.evaluate(RUN, rules)
        ]
    return found
