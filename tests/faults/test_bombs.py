"""Files that mean harm go through a real server to a real worker: refused or handled in 10 s and 300 MB a process.

A worker's tree is its two processes, its voices, and the program that it runs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import harmful_files
from tests.faults.rig import Process, Rig, Web
from tests.stack import children_of
from tests.support import until

SECONDS = 10.0
MEGABYTES = 300.0  # for each process
TREE_MEGABYTES = 450.0
LONG = 200_000


@dataclass
class Watch:
    """The memory of processes and of all that they start: the most at one moment, and of each alone (`VmHWM`)."""

    roots: list[int]
    most: float = 0.0
    alone: dict[int, float] = field(default_factory=dict)

    async def run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(0.005)

    def look(self) -> None:
        now = {pid: _status(pid) for root in self.roots for pid in (root, *children_of(root))}
        self.most = max(self.most, sum(status.get("VmRSS", 0.0) for status in now.values()))
        for pid, status in now.items():
            self.alone[pid] = max(self.alone.get(pid, 0.0), status.get("VmHWM", 0.0))


def _status(pid: int) -> dict[str, float]:
    """Memory of a process in MB, as proc(5) names it; nothing of one that has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    rows = (line.split() for line in lines if line.startswith(("VmRSS:", "VmHWM:")))
    return {name.rstrip(":"): int(kilobytes) / 1024 for name, kilobytes, _ in rows}


class Stack:
    """A web process and a worker process, and a client that is signed in."""

    def __init__(self, web: Web, worker: Process, http: httpx.AsyncClient) -> None:
        self.web = web
        self.worker = worker
        self.http = http

    async def send(self, name: str, content: bytes) -> dict[str, Any]:
        """What becomes of a file: the problem that it is refused with, or its parse job when that has ended."""
        answer = await self.http.post("/api/projects", files={"file": (name, content)})
        if not answer.is_success:
            return {"status": answer.status_code, "code": answer.json()["code"]}
        url = f"/api/jobs/text-parsing/{answer.json()['job']['id']}"

        async def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = (await self.http.get(url)).json()
            return job if job["state"] in {"completed", "failed"} else None

        job: dict[str, Any] = await until(ended, timeout=100)
        return {"state": job["state"], "code": (job["error"] or {}).get("code"), "result": job["result"]}


@pytest.fixture
async def stack(rig: Rig, tmp_path: Path) -> AsyncIterator[Stack]:
    web = await rig.web()
    settings = {
        "SMARTVOICE_REDIS_URL": rig.redis.url,
        "SMARTVOICE_DATA_DIR": str(rig.settings.data_dir),
        "SMARTVOICE_WORKER_PROCESSES": "1",
        "SMARTVOICE_WORKER_CONCURRENCY": "2",
    }
    worker = Process([sys.executable, "-m", "app.cli", "worker"], tmp_path, settings, "worker")
    worker.start()
    try:
        headers = {"Authorization": f"Bearer {rig.token('alice')}"}
        async with httpx.AsyncClient(base_url=web.address, headers=headers, trust_env=False, timeout=100) as http:
            stack = Stack(web, worker, http)
            # All that is done once is done.
            assert (await stack.send("warm.docx", harmful_files.archive(harmful_files.docx())))["state"] == "completed"
            yield stack
    finally:
        worker.close()


def laughing(make: Callable[..., dict[str, bytes]]) -> Callable[[], bytes]:
    return lambda: harmful_files.archive(make("&a9;", harmful_files.LAUGHS))


BOMBS: dict[str, tuple[str, Callable[[], bytes], tuple[int | str, str | None]]] = {
    "ten gigabytes in one entry": ("a.docx", harmful_files.flat_bomb, (413, "inflated_too_large")),
    "archives in archives": ("a.epub", harmful_files.nested_bomb, (422, "nested_archive")),
    "an archive under another name": ("a.epub", harmful_files.hidden_bomb, ("failed", "nested_archive")),
    "sizes that lie": ("a.docx", harmful_files.lying_bomb, ("failed", "bad_archive")),
    "billion laughs in fb2": ("a.fb2", lambda: harmful_files.fb2("&a9;", harmful_files.LAUGHS), (422, "unsafe_xml")),
    "billion laughs in docx": ("a.docx", laughing(harmful_files.docx), ("failed", "unsafe_xml")),
    "billion laughs in epub": ("a.epub", laughing(harmful_files.epub), ("failed", "unsafe_xml")),
    "a file of the machine": ("a.fb2", lambda: harmful_files.fb2("&e;", harmful_files.XXE), (422, "unsafe_xml")),
    "a million entries": ("a.epub", harmful_files.million_entries, (413, "too_many_entries")),
    "no break in txt": ("a.txt", lambda: b"a" * LONG, ("completed", None)),
    "no break in Chinese txt": ("a.txt", lambda: "的".encode("gb18030") * LONG, ("completed", None)),
    "no break in md": ("a.md", lambda: b"a" * LONG, ("completed", None)),
    "no break in html": ("a.html", lambda: b"<p>" + b"a" * LONG, ("completed", None)),
    "no break in docx": ("a.docx", lambda: harmful_files.archive(harmful_files.docx("a" * LONG)), ("completed", None)),
    "no break in epub": ("a.epub", lambda: harmful_files.archive(harmful_files.epub("的" * LONG)), ("completed", None)),
    "no break in fb2": ("a.fb2", lambda: harmful_files.fb2("a" * LONG), ("completed", None)),
    "no break in rtf": ("a.rtf", lambda: b"{\\rtf1 " + b"a" * LONG + b"}", ("completed", None)),
    "brackets without end": ("a.md", lambda: b"word " + b"![" * (LONG // 8), ("completed", None)),
    "comments without end": ("a.md", lambda: b"word <!--" * (LONG // 9), ("completed", None)),
}


@pytest.mark.timeout(300)
async def test_bombs_are_refused_or_handled_in_little_time_and_memory(stack: Stack) -> None:
    failures: list[tuple[object, ...]] = []
    print(f"{'what':28} {'becomes':32} {'s':>5} {'web':>5} {'worker':>6} {'most':>5} MB")
    for what, (name, make, expected) in BOMBS.items():
        content = await asyncio.to_thread(make)
        web, worker = Watch([stack.web.pid]), Watch([stack.worker.pid])
        watching = [asyncio.create_task(watch.run()) for watch in (web, worker)]
        begun = time.monotonic()
        found = await stack.send(name, content)
        took = time.monotonic() - begun
        for task in watching:
            task.cancel()
        largest = max(worker.alone.values())
        became = f"{found.get('status') or found['state']} {found['code'] or found['result']}"
        print(f"{what:28} {became[:32]:32} {took:5.1f} {web.most:5.0f} {largest:6.0f} {worker.most:5.0f}")
        if (found.get("status") or found["state"], found["code"]) != expected:
            failures.append((what, found))
        if found.get("result") and what.startswith("no break"):
            assert found["result"]["characters"] == LONG, what
        if took > SECONDS or max(web.most, largest) > MEGABYTES or worker.most > TREE_MEGABYTES:
            failures.append((what, took, web.most, worker.most))
    assert not failures
    assert "Traceback" not in stack.web.output + stack.worker.output
