"""A page of another site follows a user's progress: our module, their page, a token, tickets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import Browser, expect

from tests.stack import free_port, running

PAGE = b"<!doctype html><title>Another site</title><p id=state>-</p><p id=heard>-</p>"

SCRIPT = """
async ([address, token]) => {
  const { createProgressClient } = await import(`${address}/static/js/progress/client.js`);
  const client = createProgressClient({ url: `${address}/api/events` });
  const say = (id, text) => (document.getElementById(id).textContent = text);
  client.onConnectionChange(({ state }) => say("state", state));
  client.onEvent(({ type }) => say("heard", type));
  client.connect({ token });
}
"""


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def another_site(port: int) -> Iterator[str]:
    """A page on a host of another name than ours."""
    with ThreadingHTTPServer(("127.0.0.1", port), _Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
async def test_page_of_another_site_hears_events_if_it_is_listed(browser: Browser, listed: bool) -> None:
    port = free_port()
    origin = f"http://localhost:{port if listed else port + 1}"
    with another_site(port) as site, running(SMARTVOICE_CORS_ORIGINS=origin) as stack:
        page = await browser.new_page()
        await page.goto(site)
        loading = page.evaluate(SCRIPT, [stack.address, stack.token("admin")])
        if not listed:
            with pytest.raises(Exception, match="import"):
                await loading
            await page.close()
            return
        await loading
        await expect(page.locator("#state")).to_have_text("live", timeout=20_000)
        answer = await page.evaluate(
            """([address, token]) => fetch(`${address}/api/projects`, {
              method: "POST",
              headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
              body: JSON.stringify({ text: "Once upon a time." }),
            }).then((answer) => answer.status)""",
            [stack.address, stack.token("admin")],
        )
        assert answer == 201
        await expect(page.locator("#heard")).to_have_text("parse:complete", timeout=20_000)
        await page.close()
