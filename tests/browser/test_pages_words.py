"""What the pages say, in both languages, and what it weighs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page, expect

from tests.browser.visitor import paste, visit
from tests.measurements import Measured
from tests.stack import Stack

ROOT = Path(__file__).parents[2]
MAX_BYTES = 150_000
CATALOGUE = "async (name) => (await import(`/static/js/messages/${name}.js`)).messages"


async def _catalogues(page: Page) -> dict[str, dict[str, Any]]:
    return {name: await page.evaluate(CATALOGUE, name) for name in ("en", "zh-CN")}


async def test_catalogues_say_the_same_things(context: BrowserContext, stack: Stack) -> None:
    told = await _catalogues(await visit(context, stack, "wanda"))
    assert told["en"].keys() == told["zh-CN"].keys()
    for key, english in told["en"].items():
        chinese = told["zh-CN"][key]
        assert _forms(english)
        assert all(_forms(english)), key
        assert all(_forms(chinese)), key
        # A detail that the server has put in English stands behind the Chinese words; the English need none.
        assert _blanks(english) == _blanks(chinese), key


def _forms(entry: Any) -> list[str]:
    return list(entry.values()) if isinstance(entry, dict) else [entry]


def _blanks(entry: Any) -> set[str]:
    """What is filled in, of the form for many."""
    return set(re.findall(r"\{(\w+)\}", _forms(entry)[-1]))


async def test_every_text_that_the_pages_ask_for_is_there_and_every_one_there_is_asked_for(
    context: BrowserContext, stack: Stack
) -> None:
    keys = (await _catalogues(await visit(context, stack, "wanda")))["en"].keys()
    files = [path for path in (ROOT / "static").rglob("*.*") if path.suffix in {".html", ".js"}]
    text = "\n".join(path.read_text() for path in files if "messages" not in path.parts)
    quoted = set(re.findall(r'"([a-z]+(?:\.[\w-]+)+)"', text))
    kinds = {key.partition(".")[0] for key in keys}
    assert {key for key in quoted if key.partition(".")[0] in kinds} <= keys
    # What is put together: `state.${state}`, and the stages of the queues.
    families = set(re.findall(r"`([a-z]+(?:\.[a-z]+)*)\.\$\{", text)) | {"audio.stage", "book.stage", "parse.stage"}
    assert {key for key in keys - quoted if key.rpartition(".")[0] not in families} == set()


async def test_every_reason_for_which_a_job_fails_is_said_in_both_languages(
    context: BrowserContext, stack: Stack
) -> None:
    keys = (await _catalogues(await visit(context, stack, "wanda")))["en"].keys()
    sources = "\n".join(path.read_text() for part in ("app", "workers") for path in (ROOT / part).rglob("*.py"))
    codes = set(re.findall(r'JobError\(\s*"(\w+)"', sources))
    assert len(codes) > 10
    assert {f"error.{code}" for code in codes} <= keys


async def test_pages_weigh_little(context: BrowserContext, stack: Stack, measured: Measured) -> None:
    page = await visit(context, stack, "willy")
    await expect(page.locator("#empty")).to_be_visible()
    weights = {"projects": await _weight(page)}
    await paste(page, "第一章\n\n从前有一座山。")
    await page.reload()
    await expect(page.locator(".chapter")).to_be_visible()
    weights["project"] = await _weight(page)
    for name, (files, sent, whole) in weights.items():
        measured(f"The {name} page: {files} files, {sent / 1000:.0f} kB sent, {whole / 1000:.0f} kB unpacked")
    assert all(sent < MAX_BYTES for _, sent, _ in weights.values())


async def _weight(page: Page) -> tuple[int, int, int]:
    """Files, bytes as sent, bytes as they are, of what the page has loaded but the API's answers."""
    found = await page.evaluate(
        """() => {
          const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
          const files = all.filter(({ name }) => !new URL(name).pathname.startsWith('/api/'));
          const sum = (what) => files.reduce((total, file) => total + file[what], 0);
          return [files.length, sum('encodedBodySize'), sum('decodedBodySize')];
        }"""
    )
    return found[0], found[1], found[2]
