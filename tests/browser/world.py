"""What the tests of the client module run in: a server that can be hurt, and pages that write down what they hear."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from playwright.async_api import Browser, BrowserContext, Page, Route
from redis.asyncio import Redis

from app.auth.sessions import Sessions
from app.core.redis import keys
from tests import reducer
from tests.faults.publisher import Publisher
from tests.faults.rig import Rig, Web, rigged
from tests.support import PATIENCE_SECONDS, until

USER = "alice"
LONG_SECONDS = float(os.environ.get("SMARTVOICE_TEST_OUTAGE_SECONDS", "6"))
"""How long outages last in these tests; longer ones prove more and take longer."""

_WATCH = """
async ({ jobs, after, timings, token }) => {
  const { createProgressClient } = await import("/static/js/progress/client.js");
  const { applyEvent } = await import("/static/js/progress/reducer.js");
  const client = createProgressClient({ url: "/api/events", timings });
  const seen = (window.seen = { client, ids: [], resets: 0, connections: [], jobs });
  client.onEvent((event) => {
    seen.ids.push(event.id);
    seen.jobs = applyEvent(seen.jobs, event);
  });
  client.onReset(({ jobs }) => {
    seen.resets += 1;
    seen.jobs = Object.fromEntries(jobs.map((job) => [job.id, job]));
  });
  client.onConnectionChange((connection) => seen.connections.push({ ...connection, at: Date.now() }));
  client.connect({ after, token: token === "freshToken" ? window.freshToken : token });
}
"""


@dataclass(frozen=True)
class Watcher:
    """A page that follows the events from `after` on."""

    page: Page
    after: str

    async def ids(self) -> list[str]:
        return list(await self.page.evaluate("seen.ids"))

    async def jobs(self) -> dict[str, reducer.Job]:
        """What the page has made of the snapshot it began with, and the events since."""
        return dict(await self.page.evaluate("seen.jobs"))

    async def connection(self) -> dict[str, Any]:
        return dict(await self.page.evaluate("({ ...seen.client.connection })"))

    async def states(self) -> list[str]:
        """All that it has gone through, each once in a row."""
        states = [connection["state"] for connection in await self.page.evaluate("seen.connections")]
        return [state for index, state in enumerate(states) if index == 0 or states[index - 1] != state]

    async def becomes(self, state: str, timeout: float = PATIENCE_SECONDS, **more: object) -> dict[str, Any]:
        """The connection, once it is so."""

        async def so() -> dict[str, Any] | None:
            found = await self.connection()
            return found if found.items() >= {"state": state, **more}.items() else None

        return dict(await until(so, timeout))

    async def lines(self) -> list[str]:
        return [message.text for message in await self.page.console_messages()]


@dataclass
class World:
    """Redis and a web process that can be killed, and a publisher of one user's events."""

    rig: Rig
    web: Web
    redis: Redis
    publisher: Publisher

    async def publish(self, steps: int, rate: float = 100) -> None:
        """So many steps of jobs, each an event or two."""
        await self.publisher.run(steps, rate)

    @asynccontextmanager
    async def publishing(self, rate: float) -> AsyncIterator[None]:
        """So many steps a second for as long as the context is open; all of them are in the log when it is left."""
        left = asyncio.Event()

        async def publish() -> None:
            while not left.is_set():
                await self.publish(1)
                with suppress(TimeoutError):
                    await asyncio.wait_for(left.wait(), 1 / rate)

        publishing = asyncio.create_task(publish())
        try:
            yield
        finally:
            # Not by cancelling it, which would leave a step half done.
            left.set()
            await publishing

    async def fresh(self) -> tuple[str, dict[str, reducer.Job]]:
        """A snapshot as it is now: what a reader from nowhere is told. Its cursor, and the jobs by id."""
        async with self.rig.client_of(self.web, USER) as http:
            answer = await http.get(
                "/api/events", params={"after": "1-1", "wait": 0}, headers={"Accept": "application/json"}
            )
            assert answer.status_code == httpx.codes.OK, answer.text
            reset = answer.json()["reset"]
        return reset["cursor"], {job["id"]: job for job in reset["jobs"]}

    async def logged(self, after: str) -> list[str]:
        """The ids in the log past a cursor."""
        rows: Any = await self.redis.xrange(keys.log(USER), min=f"({after}")
        return [id.decode() for id, _ in rows]

    async def browser(self, browser: Browser, address: str | None = None) -> BrowserContext:
        """A browser as if it had just been started, in which nobody is signed in."""
        context = await browser.new_context(base_url=address or self.web.address)
        context.set_default_timeout(20_000)
        await context.route("**/bare", _bare)
        return context

    async def sign_in(self, context: BrowserContext, user: str = USER) -> None:
        link = await Sessions(self.redis, self.rig.settings).link(user)
        assert (await context.request.post("/api/session", data={"link": link})).ok

    async def watch(self, context: BrowserContext, **timings: float) -> Watcher:
        """A page with nothing on it that follows the events from now on; it is connecting when this returns."""
        page = await context.new_page()
        await page.goto("/bare")
        return await self.begin(page, timings)

    async def begin(
        self, page: Page, timings: Mapping[str, float] | None = None, *, token: str | None = None
    ) -> Watcher:
        """Lets a page follow the events from now on; with the token `freshToken`, by its function of that name."""
        after, jobs = await self.fresh()
        told = {"jobs": jobs, "after": after, "timings": timings or {}, "token": token}
        await page.evaluate(_WATCH, told)
        return Watcher(page, after)

    async def agree(self, watchers: Iterable[Watcher], timeout: float = PATIENCE_SECONDS) -> None:
        """Waits until each has had all that is in the log since it began, then compares it with a fresh snapshot.

        Exactly the ids of the log, in their order: none missed, none twice, and no reset either.
        """
        for watcher in watchers:
            try:
                await until(lambda watcher=watcher: self._agrees(watcher), timeout)
            except AssertionError:
                # Where the two differ says more than that they did not agree in time.
                assert await watcher.ids() == await self.logged(watcher.after)
                raise
            assert await watcher.page.evaluate("seen.resets") == 0

    async def _agrees(self, watcher: Watcher) -> bool:
        if await watcher.ids() != await self.logged(watcher.after):
            return False
        _, jobs = await self.fresh()
        return reducer.picture(await watcher.jobs()) == reducer.picture(jobs)


async def _bare(route: Route) -> None:
    await route.fulfill(content_type="text/html", body="<!doctype html><title>Bare</title>")


@asynccontextmanager
async def world_of(**settings: object) -> AsyncIterator[World]:
    """A world of its own; `settings` are the web process's."""
    async with rigged() as rig, rig.client as redis:
        web = await rig.web(**settings)
        publisher = Publisher(redis, rig.settings)
        await publisher.prepare([USER])
        yield World(rig, web, redis, publisher)
