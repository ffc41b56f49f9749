"""The browser's own EventSource, without a line of our script, gets every text as it was said."""

from __future__ import annotations

from playwright.async_api import Page

from app.cli import embedded_redis
from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from app.core.redis.client import connect
from app.core.settings import Settings
from tests.stack import Stack
from tests.streaming.test_foreign_clients import NASTY, USER, said, say
from tests.support import NoDispatcher

OPEN = """
() => new Promise((resolve, reject) => {
  window.heard = [];
  window.source = new EventSource('/api/events');
  for (const type of ['audio:progress', 'audio:failed', 'audio:complete', 'message', 'x']) {
    source.addEventListener(type, ({ type, data }) => heard.push([type, data]));
  }
  source.addEventListener('ready', resolve, { once: true });
  source.onerror = reject;
})
"""
ALL = "count => heard.filter(([type]) => type === 'audio:failed').length === count"


async def test_eventsource_of_chromium_gets_every_text_as_it_was_said(page: Page, stack: Stack) -> None:
    stack.command("user", "add", USER, "--password-stdin", stdin="correct horse battery\n")
    await page.goto("/signin")
    entry = {"username": USER, "password": "correct horse battery"}
    assert (await page.request.post("/api/session", data=entry)).ok
    await page.evaluate(OPEN)
    settings = Settings(redis_url=f"unix://{embedded_redis.socket_of(stack.folder)}", data_dir=stack.folder)
    async with connect(settings.redis) as redis:
        await say(Jobs(redis, EventLog(redis, settings), settings, NoDispatcher()), redis, NASTY)
    await page.wait_for_function(ALL, arg=len(NASTY))
    heard = [(type, told) for type, told in await page.evaluate("heard")]
    assert said(heard) == NASTY
    assert [type for type, _ in heard] == ["audio:progress", "audio:progress", "audio:failed"] * len(NASTY)
