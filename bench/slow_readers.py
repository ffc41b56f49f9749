"""What a web process takes on while many clients read a large snapshot slowly: of `reset`, and of a project.

`python -m bench.slow_readers [CHAPTERS [READERS [SECONDS [ROOT]]]]` starts all it needs, prints a table, and leaves
nothing behind; ROOT is a folder with another version, to be measured instead.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.core.eventlog.log import EventLog
from app.core.jobs.service import JobRequest, Jobs
from app.core.projects.service import Projects, UploadedManuscript
from app.core.storage.object_store import Storage
from app.core.vocabulary import NARRATION
from tests.faults.readers import narrow_socket
from tests.faults.rig import Rig, Web, memory_kb, rigged
from tests.support import HandWorker, NoDispatcher

_USER = "alice"
_SIP_BYTES = 2048
_SIP_SECONDS = 1.0


class Slow:
    """A client that takes a little of its answer each second."""

    def __init__(self, web: Web, token: str, path: str, accept: str) -> None:
        self._socket = narrow_socket(web.port)
        lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", f"Accept: {accept}"]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._socket.setblocking(False)
        self.taken = 0
        self.begun = b""

    def sip(self) -> None:
        try:
            came = self._socket.recv(_SIP_BYTES)
        except BlockingIOError:
            return
        self.begun = self.begun or came[:15]
        self.taken += len(came)

    def close(self) -> None:
        self._socket.close()


async def main(chapters: int, readers: int, seconds: float, root: Path | None) -> None:
    async with rigged() as rig:
        if root is not None:
            rig.root = root
        project = await _project(rig, chapters)
        print(f"{readers} slow readers of {chapters} chapters with a job each, {seconds:.0f} s:")
        ways: dict[str, tuple[str, str]] = {
            "reset, by stream": ("/api/events?after=1-1", "text/event-stream"),
            "reset, by long poll": ("/api/events?after=1-1", "application/json"),
            "a project": (f"/api/projects/{project}", "application/json"),
            "the projects": ("/api/projects", "application/json"),
        }
        for name, (path, accept) in ways.items():
            await _measure(
                rig,
                name,
                readers,
                seconds,
                lambda web, path=path, accept=accept: Slow(  # type: ignore[misc]
                    web, rig.token(_USER), path, accept
                ),
            )


async def _measure(rig: Rig, name: str, number: int, seconds: float, make: Callable[[Web], Slow]) -> None:
    web = await rig.web(max_streams_per_user=number + 1, send_timeout_seconds=60)
    clients: list[Slow] = []
    try:
        before = memory_kb(web.pid)
        most, until = before, time.monotonic() + seconds
        while time.monotonic() < until:
            if len(clients) < number:
                clients += [make(web) for _ in range(min(20, number - len(clients)))]
            for client in clients:
                client.sip()
            most = max(most, memory_kb(web.pid))
            await asyncio.sleep(_SIP_SECONDS if len(clients) == number else 0.2)
        answered = sum(client.begun == b"HTTP/1.1 200 OK" for client in clients)
        grown = (most - before) / 1024
        print(f"  {name:20} {before / 1024:5.0f} MB before, at most {grown:6.1f} MB more; {answered} answered")
    finally:
        for client in clients:
            client.close()
        await web.stop()


async def _project(rig: Rig, chapters: int) -> str:
    """The id of a project with so many chapters, each with a job."""
    async with rig.client as redis:
        jobs = Jobs(redis, EventLog(redis, rig.settings), rig.settings, NoDispatcher())
        shelf = Projects(redis, Storage.of(rig.settings), jobs, rig.settings)
        project, parsing = await shelf.create(_USER, UploadedManuscript(b"Text.", "txt", "A book", "en"))
        await HandWorker(jobs, shelf).parse(_USER, parsing.json_dict(), chapters)
        for chapter in await shelf.chapters(_USER, project.id):
            await jobs.create(_USER, JobRequest(NARRATION, project.id, "en", chapter.id))
        return project.id


if __name__ == "__main__":
    _given = sys.argv[1:]
    _numbers = [int(one) for one in _given[:3]]
    _chapters, _readers, _seconds = (*_numbers, *(2000, 200, 30)[len(_numbers) :])
    asyncio.run(main(_chapters, _readers, _seconds, Path(_given[3]) if len(_given) > 3 else None))
