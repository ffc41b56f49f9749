"""An upgrade and the way back, tried with a real earlier version: `python -m tests.scale.side_by_side COMMIT`.

Two web processes and two workers of the version at COMMIT narrate books, while readers listen by stream and by long
poll. One process after the other is replaced by this version, then one after the other by the earlier one again, each
in the middle of a book. It prints what it did and what came of it; the exit status is 0 where nothing was lost, came
twice or failed. The earlier version runs with what is installed here, so its dependencies have to fit.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx

from tests.faults.readers import Crowd, PollReader, Reading, SseReader, Told, logged
from tests.faults.rig import Process, Rig, Web, Worker, allow_sockets, rigged
from tests.programs import program
from tests.scale.book import CHAPTERS, Book, check_readers
from tests.support import until

_ROOT = Path(__file__).parents[2]
_USER = "alice"
_FASTEST = 30  # characters a second: no voice says a chapter sooner
_TROUBLE_LINES = 60
_PATIENCE_SECONDS = 60.0
_BOOKS = Path("workers", "book")  # a version without this folder has no worker that puts books together
_UNKNOWN = {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED, httpx.codes.UNPROCESSABLE_ENTITY}


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """The files of a commit in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="sv-old-") as name:
        packed = Path(name, "packed.tar")
        subprocess.run([program("git"), "-C", _ROOT, "archive", "-o", packed, commit], check=True)
        subprocess.run(["tar", "-x", "-f", packed, "-C", name], check=True)
        packed.unlink()
        yield Path(name)


class _Trial:
    """The processes of both versions, and the books that were made meanwhile."""

    def __init__(self, rig: Rig, old: Path) -> None:
        self._rig = rig
        self._old = old
        self._root_of: dict[Process, Path] = {}
        self.webs: list[Web] = []
        self.workers: list[Worker] = []
        self.books: list[str] = []

    async def start(self) -> None:
        """Two web processes and two workers of the earlier version."""
        self._rig.root = self._old
        self.webs = [await self._rig.web(drain_seconds=1) for _ in range(2)]
        self.workers = [await self._rig.worker(worker_concurrency=1) for _ in range(2)]

    async def upgrade_and_back(self) -> None:
        """Replaces each process by this version, then each by the earlier one."""
        for version, root in (("new", _ROOT), ("old", self._old)):
            for number in range(2):
                for kind, process in (("web", self.webs[number]), ("worker", self.workers[number])):
                    print(f"{kind} {number + 1} becomes {version}:", end=" ")
                    await self._narrate_while_replaced(process, root, self.webs[1 - number])

    async def _narrate_while_replaced(self, process: Web | Worker, root: Path, other: Web) -> None:
        """Replaces a process while a book is narrated; `other` is a web process that stays."""
        async with self._rig.client_of(other, _USER) as http:
            book = Book(http)
            await book.make()
            await book.narrate()
            begun = time.monotonic()
            assert await process.stop() == 0
            process.use(root)
            self._root_of[process] = root
            await process.restart()
            replaced = time.monotonic() - begun
            await book.done()
            print(f"ready after {replaced:.1f} s, its book done after {time.monotonic() - begun:.1f} s", end="")
            self.books.append(book.id)
            await self._work_on(book.id)

    async def _work_on(self, id: str) -> None:
        """Does with the book, by each web process, what both versions know, and reads it by the other."""
        for number, writing in enumerate(self.webs):
            async with (
                self._rig.client_of(writing, _USER) as writer,
                self._rig.client_of(self.webs[1 - number], _USER) as reader,
            ):
                await _change(writer, id, number)
                await _make_whole(writer, reader, id)
                if any((self._root_of.get(worker, self._old) / _BOOKS).exists() for worker in self.workers):
                    print("; " + await _put_together(writer, reader, id), end="")
        print()


async def upgrade_and_back(old: Path) -> None:
    """Raises AssertionError or httpx.HTTPError where it does not hold."""
    async with rigged() as rig:
        trial = _Trial(rig, old)
        await trial.start()
        ports, token = [web.port for web in trial.webs], rig.token(_USER)
        readers: list[Reading] = [SseReader(ports, _USER, token) for _ in range(2)]
        readers.append(PollReader([web.address for web in trial.webs], token))
        async with Crowd(readers).reading():
            try:
                await trial.upgrade_and_back()
            finally:
                for process in (*trial.webs, *trial.workers):
                    _tell_of_trouble(process)
            async with rig.client as redis:
                log = await logged(redis, _USER)
            _tell_of_log(log)
            _check_ends(log)
            await check_readers(readers, log)
            _tell_of_readers(readers)
            async with rig.client_of(trial.webs[0], _USER) as http:
                print(f"audio: {await _seconds_of_sound(http, trial.books):.0f} s, each chapter whole")


async def _change(http: httpx.AsyncClient, id: str, number: int) -> None:
    """Changes all that can be changed of a book; what a version does not know it refuses."""
    path = f"/api/projects/{id}"
    [first, *_] = (await _read(http, path))["chapters"]
    of_first = f"{path}/chapters/{first['id']}"
    for method, where, body in (
        ("PATCH", path, {"title": f"Lamp {number}"}),
        ("PATCH", path, {"speed": 1.1 + number / 10, "pronunciations": [{"term": "lamp", "respelling": "light"}]}),
        ("PATCH", of_first, {"title": f"Begin {number}"}),
        ("PATCH", of_first, {"text": "The lamp was lit at six.\n\n" * 30}),
        ("POST", f"{of_first}/split", {"offset": 300}),
    ):
        answer = await http.request(method, where, json=body)
        assert answer.is_success or answer.status_code in _UNKNOWN, (where, answer.text)


async def _make_whole(writer: httpx.AsyncClient, reader: httpx.AsyncClient, id: str) -> None:
    """Has what is missing narrated, and sees it by another process."""
    path = f"/api/projects/{id}"
    (await writer.post(f"{path}/audio")).raise_for_status()

    async def narrated() -> bool:
        chapters = (await _read(reader, path))["chapters"]
        return all(one["audioUrl"] and one["job"]["state"] == "completed" for one in chapters)

    await until(narrated, _PATIENCE_SECONDS)
    await _read(reader, "/api/projects")


async def _put_together(writer: httpx.AsyncClient, reader: httpx.AsyncClient, id: str) -> str:
    """Has the book put together; what became of it."""
    answer = await writer.post(f"/api/projects/{id}/book", json={"format": "m4b"})
    if answer.status_code in _UNKNOWN:
        return "no book: this web process does not know of them"
    assert answer.is_success, answer.text
    job = f"/api/jobs/book-assembly/{answer.json()['id']}"

    async def ended() -> bool:
        return bool((await _read(writer, job))["state"] == "completed")

    await until(ended, _PATIENCE_SECONDS)
    seen = await reader.get(job)
    assert seen.is_success or seen.status_code in _UNKNOWN, seen.text
    return "book made"


async def _read(http: httpx.AsyncClient, path: str) -> dict[str, Any]:
    return dict((await http.get(path)).raise_for_status().json())


def _check_ends(log: Sequence[Told]) -> None:
    """Each job was completed once, and none ended in another way."""
    jobs = [(told.type, json.loads(told.data)["jobId"]) for told in log if not told.type.startswith("project:")]
    assert not [type for type, _ in jobs if type.endswith((":failed", ":cancelled"))]
    completed = Counter(job for type, job in jobs if type.endswith(":complete"))
    assert completed == Counter({job for _, job in jobs})


async def _seconds_of_sound(http: httpx.AsyncClient, books: Sequence[str]) -> float:
    """How much was narrated, once each chapter has been decoded to its end."""
    total = 0.0
    for id in books:
        for chapter in (await _read(http, f"/api/projects/{id}"))["chapters"]:
            sound = (await http.get(chapter["audioUrl"])).raise_for_status().content
            with av.open(io.BytesIO(sound), "r") as container:
                seconds = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
            assert abs(seconds - chapter["durationSeconds"]) < 0.2, chapter
            assert seconds > chapter["characters"] / _FASTEST, chapter
            total += seconds
    return total


def _tell_of_log(log: Sequence[Told]) -> None:
    counts = Counter(told.type for told in log)
    print(f"log: {len(log)} events;", ", ".join(f"{count} {type}" for type, count in sorted(counts.items())))


def _tell_of_readers(readers: Sequence[Reading]) -> None:
    for reader in readers:
        told = f"{len(reader.events)} events, {reader.controls['reset']} resets, refusals {dict(reader.refusals)}"
        print(f"{type(reader).__name__}: {told}")


def _tell_of_trouble(process: Process) -> None:
    """What it logged of what it did not understand."""
    lines = process.output.splitlines()
    found = next((number for number, line in enumerate(lines) if "Traceback" in line), None)
    if found is not None:
        told = "\n".join(lines[found : found + _TROUBLE_LINES]).replace("\\n", "\n")
        print(f"trouble in a {type(process).__name__.lower()} process:\n{told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("commit", help="the earlier version, as git names it")
    commit = parser.parse_args().commit
    allow_sockets(8192)
    with checked_out(commit) as old:
        print(f"{CHAPTERS} chapters a book; from {commit} to this version and back")
        try:
            asyncio.run(upgrade_and_back(old))
        except (AssertionError, httpx.HTTPError) as error:
            print(f"it did not hold: {error}")
            sys.exit(1)
    print("it held: nothing was lost, nothing came twice, nothing failed")


if __name__ == "__main__":
    main()
