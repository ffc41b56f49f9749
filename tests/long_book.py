"""A long book through the real stack, killed on the way: `python -m tests.long_book [CHAPTERS [CHARACTERS]]`.

`smartvoice narrate` is run in a folder of its own. The whole stack is killed as `kill -9` does, then a worker of the
next run; each time the same command goes on, and in the end all must be there. Prints how long it took and how much
memory each process had at most.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.rig import memory_kb
from tests.programs import program
from tests.stack import children_of, command_of, environment

MAX_MB = 400
_SENTENCES = (
    "Every evening the keeper climbed the hundred and twenty steps and counted them aloud.",
    "The wind came from the east, and the ships would be a little late.",
    "Far out a small boat turned its bow towards the light, number {number} of that night.",
    "Nobody wrote to thank him, and yet drawer {number} was full of letters.",
)
_CHINESE = ("守灯人登上第{number}级台阶。", "风从东边来，船会晚一点回家。")
_CHINESE_EVERY = 50  # chapters: Chinese takes four times as long to say


# By what its command says: of a Redis, whatever it is called, where it listens.
_KINDS = {"/redis.sock": "redis", "app.cli worker": "worker", "app.cli web": "web", "narrate": "narrate"}


@dataclass
class Found:
    """What came of it: `peaks` is the most memory in MB by kind of process, `seconds` how long it took in all."""

    chapters: int
    characters: int
    seconds: float = 0.0
    kills: list[str] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)
    marks: list[dict[str, Any]] = field(default_factory=list)
    hours: float = 0.0
    megabytes: float = 0.0
    voiced: dict[str, int] = field(default_factory=dict)


def title(number: int) -> str:
    return f"第{number}章 灯塔" if number % _CHINESE_EVERY == 0 else f"Chapter {number}"


def text(chapters: int, characters: int) -> str:
    """A book of so many chapters and characters; no two of its paragraphs are the same."""
    whole = []
    for number in range(1, chapters + 1):
        sentences = _CHINESE if number % _CHINESE_EVERY == 0 else _SENTENCES
        size = characters // chapters
        words, at, length = [], 0, 0
        while length < size:
            words.append(sentences[at % len(sentences)].format(number=number * 10_000 + at))
            length += len(words[-1]) + 1
            at += 1
        whole.append(f"{title(number)}\n\n{' '.join(words)}\n")
    return "\n".join(whole)


class _Watch:
    """Looks again and again how much memory the processes of a run have."""

    def __init__(self, root: int, peaks: dict[str, float]) -> None:
        self._root = root
        self._peaks = peaks
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.25):
            for pid in [self._root, *children_of(self._root)]:
                with suppress(OSError, ValueError):
                    kind = _kind(command_of(pid))
                    self._peaks[kind] = max(self._peaks.get(kind, 0.0), memory_kb(pid) / 1024)


def _kind(command: str) -> str:
    for word, kind in _KINDS.items():
        if word in command:
            return kind
    return "helper"


def run(chapters: int, characters: int, completed: int) -> Found:
    """Does it; the stack and a worker are killed when so many chapters have been completed in a run."""
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    found = Found(chapters, characters)
    began = time.monotonic()
    try:
        book = folder / "book.txt"
        book.write_text(text(chapters, characters))
        _until_killed(folder, found, "the whole stack", _chapters(completed), _kill_all)
        if completed * 3 <= chapters:
            _until_killed(folder, found, "a worker", _chapters(completed), _kill_worker)
        else:
            _until_killed(folder, found, "the whole stack, in the book", _in_the_book, _kill_all)
            _until_killed(folder, found, "", lambda event: False, lambda root: True)
        found.seconds = time.monotonic() - began
        _probe(folder / "out", found)
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _until_killed(
    folder: Path, found: Found, what: str, when: Callable[[dict[str, Any]], bool], kill: Callable[[int], bool]
) -> None:
    """One run of the command, in which `kill` is done once; it goes on to its end where `kill` leaves it alive."""
    settings = {"XDG_CACHE_HOME": str(folder / "cache"), "SMARTVOICE_WORKER_PROCESSES": "2"}
    words = ["narrate", str(folder / "book.txt"), "-o", str(folder / "out"), "--book", "m4b", "--json"]
    with (folder / "errors.log").open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *words],
            env=environment(settings),
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watch = _Watch(process.pid, found.peaks)
    killed = False
    try:
        for event in _lines(process):
            if event["type"] == "audio:complete":
                chapter = event["data"]["chapterId"]
                found.voiced[chapter] = found.voiced.get(chapter, 0) + 1
            if what and not killed and when(event):
                killed = True
                found.kills.append(what)
                print(f"killed {what}", flush=True)
                if kill(process.pid):
                    break
        status = process.wait(60)
        log = (folder / "errors.log").read_text()
        assert killed or not what, f"it ended before it was killed: {status} {log}"
        assert status in {0, -signal.SIGKILL}, log
    finally:
        watch.stop()
        _kill_all(process.pid)
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["type"] == "message":
            print(event["data"]["text"], flush=True)
        yield event


def _chapters(wanted: int) -> Callable[[dict[str, Any]], bool]:
    seen = 0

    def enough(event: dict[str, Any]) -> bool:
        nonlocal seen
        seen += int(event["type"] == "audio:complete")
        return seen >= wanted

    return enough


def _in_the_book(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "book:progress" and event["data"]["progress"]["stage"] == "chapters")


def _kill_all(root: int) -> bool:
    """Kills the command and all that it started, at once."""
    for pid in [root, *children_of(root)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return True


def _kill_worker(root: int) -> bool:
    """Kills the processes of one worker, which are a session of their own; the rest goes on."""
    masters = [pid for pid in children_of(root) if "app.cli worker" in command_of(pid)]
    with suppress(ProcessLookupError):
        os.killpg(os.getpgid(masters[0]), signal.SIGKILL)
    return False


def _probe(out: Path, found: Found) -> None:
    book = out / "book.m4b"
    words = ["-v", "error", "-show_chapters", "-show_format", "-of", "json", str(book)]
    told = json.loads(subprocess.run([program("ffprobe"), *words], capture_output=True, check=True, timeout=300).stdout)
    found.marks = told["chapters"]
    found.hours = float(told["format"]["duration"]) / 3600
    found.megabytes = book.stat().st_size / 1e6
    names = sorted(path.name for path in out.glob("*.mp3"))
    assert len(names) == found.chapters, names
    assert [mark["tags"]["title"] for mark in found.marks] == [title(n) for n in range(1, found.chapters + 1)]
    begins = [float(mark["start_time"]) for mark in found.marks]
    assert begins == sorted(set(begins))
    assert all(re.match(r"[0-9]+ - ", name) for name in names)


def main() -> None:
    chapters = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    characters = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    found = run(chapters, characters, max(1, chapters // 5))
    print(f"{found.chapters} chapters, {found.characters} characters: {found.seconds:.0f} s, killed: {found.kills}")
    print(f"{found.hours:.2f} h of sound, {found.megabytes:.0f} MB, {len(found.marks)} chapter marks, all right")
    print("most memory, MB:", {kind: round(peak) for kind, peak in sorted(found.peaks.items())})
    assert found.peaks["worker"] < MAX_MB


if __name__ == "__main__":
    main()
