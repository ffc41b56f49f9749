"""`python -m tests.browser.screenshots FOLDER`: pictures of every state, light and dark, wide and narrow, zh and en."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from app.core.messages import LANGUAGES, Language
from tests.browser.scenes import STATES, Place, make, placed

_WIDTHS: dict[str, ViewportSize] = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 360, "height": 760}}
_THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


async def main(folder: Path, only: str = "") -> None:
    """Writes `STATE-LANGUAGE-WIDTH-THEME.png` into `folder`; of those alone whose names contain `only`."""
    folder.mkdir(parents=True, exist_ok=True)
    async with placed() as place, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        for language in LANGUAGES:
            if not only or language in only or "-" not in only:
                await _language(place, browser, language, folder, only)
        await browser.close()


async def _language(place: Place, browser: Browser, language: Language, folder: Path, only: str) -> None:
    paths = {"empty": ("newcomer", "/"), "signin": ("", "/signin")}
    user = f"reader-{language.lower()}"
    async with place.client(user) as client:
        # What is at work comes last: it holds the voice.
        for state in sorted(STATES, key=lambda state: state == "working"):
            project = await make(place, client, state, language)
            paths[state] = (user, f"/projects/{project}")
        paths |= {"projects": (user, "/"), "playing": paths["done"], "editing": paths["done"]}
        for (state, (who, path)), width, theme in product(paths.items(), _WIDTHS, _THEMES):
            name = f"{state}-{language}-{width}-{theme}"
            if only in name:
                await _picture(place, browser, (who, path), (language, width, theme), folder / f"{name}.png")
    place.voice.misbehave_always(None)
    place.voice.release()


async def _picture(
    place: Place,
    browser: Browser,
    where: tuple[str, str],
    how: tuple[Language, str, Literal["light", "dark"]],
    file: Path,
) -> None:
    user, path = where
    language, width, theme = how
    context = await browser.new_context(
        base_url=place.stack.address, locale=language, color_scheme=theme, viewport=_WIDTHS[width]
    )
    if user:
        await place.sign_in(context, user)
    page = await context.new_page()
    await page.goto(path)
    await _settle(page)
    if act := _ACTS.get(file.name.partition("-")[0]):
        await act(page)
    await page.screenshot(path=file, animations="disabled")
    await context.close()
    print(file)


async def _play(page: Page) -> None:
    """The second chapter, from its middle."""
    await page.locator('[data-part="play"]').nth(1).click()
    await page.wait_for_function("() => document.querySelector('audio').duration > 0")
    await page.evaluate("document.querySelector('audio').currentTime = 47")
    await page.wait_for_function("() => document.querySelector('audio').currentTime > 47")


async def _edit(page: Page) -> None:
    await page.locator('[data-part="edit"]').nth(1).click()
    await page.locator("#chapter-dialog[open]").wait_for()


_ACTS: dict[str, Callable[[Page], Awaitable[None]]] = {"playing": _play, "editing": _edit}


async def _settle(page: Page) -> None:
    """Until all is there: what was loaded, the voices, the connection."""
    await page.locator("html[data-ready]").wait_for()
    if "/signin" not in page.url:
        await page.locator('#connection[data-state="live"]').wait_for()
        await page.locator("#loading").wait_for(state="hidden")
    await page.evaluate("document.activeElement.blur()")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:3]))
