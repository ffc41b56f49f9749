"""Pictures of the pages in every state, light and dark, wide and narrow, in Chinese and English.

`python -m tests.browser.screenshots FOLDER [SHOWN]` writes them as `STATE-LANGUAGE-WIDTH-THEME.png`, and copies those
that the documentation shows into SHOWN.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from itertools import product
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, ViewportSize, async_playwright

from app.core.vocabulary import LANGUAGES, Language
from tests.browser.scenes import Place, placed, scenes
from tests.browser.views import VIEWS, View, settled

_WIDTHS: dict[str, ViewportSize] = {"wide": {"width": 1280, "height": 860}, "narrow": {"width": 360, "height": 760}}
_THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


_SHOWN = {
    "working-en-wide-light": "project",
    "playing-en-wide-dark": "player",
    "working-zh-CN-narrow-light": "phone-zh",
    "projects-en-wide-light": "projects",
    "working-en-narrow-dark": "phone",
}
_MAX_SHOWN_BYTES = 150_000


async def main(folder: Path, shown: Path | None) -> None:
    """Writes all of them into `folder`, and the documentation's into `shown`."""
    folder.mkdir(parents=True, exist_ok=True)
    async with placed() as place, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        for language in LANGUAGES:
            await _language(place, browser, language, folder)
        await browser.close()
    if shown is not None:
        _show(folder, shown)


def _show(folder: Path, shown: Path) -> None:
    shown.mkdir(parents=True, exist_ok=True)
    for name, called in _SHOWN.items():
        file = folder / f"{name}.png"
        assert file.stat().st_size < _MAX_SHOWN_BYTES, file
        shutil.copyfile(file, shown / f"{called}.png")


async def _language(place: Place, browser: Browser, language: Language, folder: Path) -> None:
    found = await scenes(place, language)
    found["signin"] = ("", "/signin")
    views: dict[str, tuple[str, View | None]] = {state: (state, None) for state in found}
    views |= {name: (state, view) for state, more in VIEWS.items() for name, view in more.items()}
    for (name, (state, view)), width, theme in product(views.items(), _WIDTHS, _THEMES):
        file = folder / f"{name}-{language}-{width}-{theme}.png"
        await _picture(place, browser, found[state], (language, width, theme), view, file)
    place.voice.release()


async def _picture(
    place: Place,
    browser: Browser,
    where: tuple[str, str],
    how: tuple[Language, str, Literal["light", "dark"]],
    view: View | None,
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
    await settled(page)
    if view:
        await view(page)
    await page.screenshot(path=file, animations="disabled")
    await context.close()
    print(file)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
