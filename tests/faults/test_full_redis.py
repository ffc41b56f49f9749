"""A Redis that is full refuses what is new with 503, lets things be deleted, and loses no job that is under way."""

from __future__ import annotations

import asyncio

import httpx

from app.core.redis import keys
from tests.faults.rig import rigged
from tests.support import until

TEXT = "Chapter 1\n\nThe sea was calm.\n\nChapter 2\n\nThe wind rose.\n\nChapter 3\n\nThey came home."


async def test_jobs_outlive_a_redis_that_is_full_for_a_while() -> None:
    async with rigged() as rig:
        web = await rig.web()
        await rig.worker(lease_seconds=1, requeue_seconds=1)
        async with rig.client as redis, rig.client_of(web, "alice") as alice:
            made = (await alice.post("/api/projects", json={"text": TEXT, "language": "en"})).json()["id"]
            other = (await alice.post("/api/projects", json={"text": TEXT, "language": "en"})).json()["id"]

            async def chapters(having: str) -> int:
                found = (await alice.get(f"/api/projects/{made}")).json()["chapters"]
                return sum(bool(chapter[having]) for chapter in found)

            async def parsed() -> bool:
                return await chapters("characters") == 3

            await until(parsed)
            jobs = (await alice.post(f"/api/projects/{made}/audio")).json()["jobs"]
            used = int((await redis.info("memory"))["used_memory"])
            # As `maxmemory` of the embedded Redis, with noeviction, once it is reached.
            await redis.config_set("maxmemory", used // 2)
            refused = await alice.post("/api/projects", json={"text": TEXT})
            assert (refused.status_code, refused.json()["code"]) == (503, "redis_refused")
            assert (await alice.delete(f"/api/projects/{other}")).status_code == httpx.codes.NO_CONTENT
            await asyncio.sleep(2)  # long enough for leases to be over
            listed = (await alice.get("/api/projects")).json()["projects"]
            assert [project["id"] for project in listed] == [made]
            await redis.config_set("maxmemory", 0)

            async def narrated() -> bool:
                return await chapters("audioUrl") == 3

            await until(narrated, 60)
            states = [(await alice.get(f"/api/jobs/audio-generation/{job['id']}")).json()["state"] for job in jobs]
            assert states == ["completed"] * 3
            assert await redis.zcard(keys.reserved("alice")) == 0
            assert (await alice.get("/api/usage")).json()["projects"]["used"] == 1
