"""The example in `docs/develop/client.md`, on a page of another site, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
from playwright.async_api import Browser, expect

from tests.browser.test_other_site import another_site
from tests.stack import free_port, running
from tests.support import until

_DOCUMENT = Path(__file__).parents[2] / "docs" / "develop" / "client.md"
_PARTS = "<p id=title></p><p id=connection></p><p id=progress></p>"


def _example() -> str:
    [example] = re.findall(r"```js\n(.*?)```", _DOCUMENT.read_text(), re.S)
    return str(example)


async def _chapters(http: httpx.AsyncClient, project: str) -> list[dict[str, str]]:
    return list((await http.get(f"/api/projects/{project}")).json()["chapters"])


async def test_example_follows_a_project_from_another_site(browser: Browser) -> None:
    port = free_port()
    with another_site(port) as site, running(SMARTVOICE_CORS_ORIGINS=site) as stack:
        token = stack.token("admin")
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=stack.address, headers=headers, trust_env=False) as http:
            project = (await http.get("/api/projects")).json()["projects"][0]["id"]
            # The page reads the snapshot once, so the sample must have its chapters before.
            chapters = await until(lambda: _chapters(http, project))
            page = await browser.new_page()

            await page.route("**/smartvoice-token", lambda route: route.fulfill(body=token))
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            await page.goto(f"{site}/?project={project}")
            await page.evaluate("html => (document.body.innerHTML = html)", _PARTS)
            script = _example().replace("https://smartvoice.example", stack.address)
            await page.add_script_tag(type="module", content=script)
            await expect(page.locator("#title")).to_have_text(re.compile("^The Lamp Keeper.*: 4$"), timeout=20_000)
            await expect(page.locator("#connection")).to_have_text("live", timeout=20_000)
            await http.post(f"/api/projects/{project}/chapters/{chapters[0]['id']}/audio")
            await expect(page.locator("#progress")).to_contain_text("done: /audios/", timeout=40_000)
        assert not [url for url in asked if token in url]
        assert [url for url in asked if "ticket=" in url]
        await page.close()


def test_example_is_short() -> None:
    assert len([line for line in _example().splitlines() if line and not line.startswith("//")]) <= 20
