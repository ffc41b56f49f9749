"""How long somebody's first chapter waits while somebody else has hundreds in the queue: with the line, and without.

`python -m bench.fairness [CHAPTERS]` starts all it needs, prints a table, and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from typing import Any

import httpx

from tests.faults.rig import rigged
from tests.support import until
from tests.tts_server import TtsServer

_WORKERS = 2
_PASSES = 3
_NO_LINE = 100_000


async def main(chapters: int) -> None:
    """Measures both ways in turn, and prints medians and their ratio."""
    waits: dict[str, list[float]] = {"in line": [], "first come, first served": []}
    for number in range(_PASSES):
        print(f"pass {number + 1} of {_PASSES} …", file=sys.stderr)
        waits["in line"].append(await _wait(chapters, share=_WORKERS))
        waits["first come, first served"].append(await _wait(chapters, share=_NO_LINE))
    print(f"Another user's first chapter behind {chapters} chapters of one user, {_WORKERS} workers of one thread:")
    for name, found in waits.items():
        print(f"  {name:26} {statistics.median(found):6.2f} s until it is done   {[round(one, 2) for one in found]}")
    line, none = (statistics.median(found) for found in waits.values())
    print(f"  ratio {line / none:.3f}")


async def _wait(chapters: int, *, share: int) -> float:
    async with rigged() as rig, TtsServer() as tts:
        settings: dict[str, Any] = {
            "tts_engine": "openai",
            "tts_url": tts.url,
            "worker_threads": 1,
            "narrations_per_user": share,
        }
        web = await rig.web(**settings)
        for _ in range(_WORKERS):
            await rig.worker(**settings)
        async with rig.client_of(web, "heavy") as heavy, rig.client_of(web, "light") as light:
            book = await _book(heavy, chapters)
            mine = await _book(light, 1)
            await _press(heavy, book)
            await until(lambda: tts.requests > 5)
            began = time.perf_counter()
            [job] = await _press(light, mine)
            await until(lambda: _done(light, job), 600)
            return time.perf_counter() - began


async def _book(http: httpx.AsyncClient, chapters: int) -> str:
    text = "\n\n".join(f"Chapter {n}\n\nThe lamp of house {n} burned all night long." for n in range(1, chapters + 1))
    made = await http.post("/api/projects", json={"title": "Book", "text": text, "language": "en"})
    id = str(made.raise_for_status().json()["id"])

    async def parsed() -> bool:
        return bool((await http.get(f"/api/projects/{id}")).json()["chapters"])

    await until(parsed)
    return id


async def _press(http: httpx.AsyncClient, project: str) -> list[dict[str, Any]]:
    answer = await http.post(f"/api/projects/{project}/audio", timeout=120)
    return list(answer.raise_for_status().json()["jobs"])


async def _done(http: httpx.AsyncClient, job: dict[str, Any]) -> bool:
    state = (await http.get(f"/api/jobs/audio-generation/{job['id']}")).json()["state"]
    return bool(state == "completed")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500))
