"""The book from the terminal: `smartvoice narrate`, `watch` and `voices`, as processes of their own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import long_book
from tests.faults.rig import Process
from tests.stack import Stack, alive, children_of, environment

BOOK = "Chapter 1\n\nThe sea was calm.\n\nChapter 2\n\nThe wind rose.\n\nChapter 3\n\nThey came home.\n"


@pytest.fixture
def desk() -> Iterator[Path]:
    """A folder with a short name, for sockets lie in it."""
    folder = Path(tempfile.mkdtemp(prefix="sv-"))
    (folder / "sea.txt").write_text(BOOK)
    yield folder
    shutil.rmtree(folder)


def smartvoice(desk: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *words],
        env=environment({"XDG_CACHE_HOME": str(desk / "cache"), **settings}),
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=100,
    )


def at(stack: Stack, user: str) -> tuple[str, ...]:
    return ("--server", stack.address, "--token", stack.token(user))


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def test_manuscript_becomes_mp3s_and_a_book_and_the_second_run_finds_all_there(desk: Path, stack: Stack) -> None:
    server = at(stack, "ann")
    first = smartvoice(desk, "narrate", "sea.txt", "-o", "out", "--book", "m4b", *server)
    assert first.returncode == 0, first.stderr
    names = ["01 - Chapter 1.mp3", "02 - Chapter 2.mp3", "03 - Chapter 3.mp3", "sea.m4b"]
    assert sorted(path.name for path in (desk / "out").glob("*.m*")) == names
    assert first.stdout.splitlines() == [f"out/{name}" for name in names]
    # Bars belong to a terminal alone.
    assert "━" not in first.stdout + first.stderr
    before = {path.name: path.stat().st_mtime_ns for path in (desk / "out").glob("*.m*")}
    second = smartvoice(desk, "narrate", "sea.txt", "-o", "out", "--book", "m4b", "--json", *server)
    assert second.returncode == 0, second.stderr
    told = lines(second.stdout)
    assert [one["type"] for one in told if one["type"].startswith("audio:")] == []
    assert "3 chapters, 3 of them have audio already." in [one["data"].get("text") for one in told]
    assert {path.name: path.stat().st_mtime_ns for path in (desk / "out").glob("*.m*")} == before


def test_some_chapters_alone(desk: Path, stack: Stack) -> None:
    done = smartvoice(desk, "narrate", "sea.txt", "--chapters", "2-3", "--book", "zip", "--json", *at(stack, "bob"))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (desk / "sea").glob("*.mp3")) == ["02 - Chapter 2.mp3", "03 - Chapter 3.mp3"]
    [complete] = [one for one in lines(done.stdout) if one["type"] == "book:complete"]
    assert complete["data"]["missing"] == [1]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["nope.txt"], 2, "There is no file nope.txt."),
        (["sea.txt", "--book", "mp4"], 2, "m4b or zip"),
        (["sea.txt", "--chapters", "x"], 2, "write 3, 3-5"),
        (["sea.txt", "--language", "de"], 2, "zh-CN or en"),
        (["picture.png"], 2, "txt, md, epub"),
        (["sea.txt", "--server", "http://127.0.0.1:9"], 2, "wants a token"),
        (["sea.txt", "--server", "http://127.0.0.1:9", "--token", "t"], 3, "Nothing answers at http://127.0.0.1:9"),
    ],
)
def test_what_cannot_be_done_is_said(desk: Path, words: list[str], status: int, said: str) -> None:
    (desk / "picture.png").write_bytes(b"x")
    done = smartvoice(desk, "narrate", *words)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_credential_that_does_not_hold_is_said(desk: Path, stack: Stack) -> None:
    done = smartvoice(desk, "narrate", "sea.txt", "--server", stack.address, "--token", "no.good.token")
    assert (done.returncode, "bad_token" in done.stderr) == (2, True)


def test_chapter_that_fails_is_named_and_the_status_says_so(desk: Path, stack: Stack) -> None:
    done = smartvoice(desk, "narrate", "sea.txt", "--voice", "nobody", *at(stack, "cid"))
    assert done.returncode == 1
    assert "Chapter 1: There is no voice called 'nobody'." in done.stderr
    assert "run the same command again" in done.stderr


def test_voices_are_listed_by_language(desk: Path, stack: Stack) -> None:
    every = smartvoice(desk, "voices", *at(stack, "dan")).stdout.splitlines()
    english = smartvoice(desk, "voices", "--language", "en", *at(stack, "dan")).stdout.splitlines()
    assert len(every) > len(english) > 3
    assert {line.split("\t")[1].partition("-")[0] for line in english} == {"en"}


def test_watch_prints_what_happens_and_ends_by_ctrl_c(desk: Path, stack: Stack) -> None:
    words = [sys.executable, "-m", "app.cli", "watch", "--json", *at(stack, "eve")]
    watching = Process(words, desk, {}, "watch")
    watching.start()
    try:
        deadline = time.monotonic() + 60
        number = 0
        # Until it follows: what happened before it began is not its own to tell.
        while not watching.output and time.monotonic() < deadline:
            number += 1
            (desk / f"{number}.txt").write_text(f"Chapter 1\n\nThe sea was calm, {number} times.\n")
            assert smartvoice(desk, "narrate", f"{number}.txt", *at(stack, "eve")).returncode == 0
        watching.send(signal.SIGINT)
        assert watching.wait() == 0
    finally:
        watching.close()
    told = lines(watching.output)
    assert {one["type"] for one in told} & {"parse:progress", "audio:progress", "audio:complete"}
    assert len({one["id"] for one in told}) == len(told)


def test_ctrl_c_calls_off_what_runs_leaves_no_process_and_the_next_run_goes_on(desk: Path) -> None:
    long = "".join(
        f"Chapter {n}\n\n{f'The tide came in, and went out again, time {n}. ' * 40}\n\n" for n in range(1, 6)
    )
    (desk / "long.txt").write_text(long)
    variables = environment({"XDG_CACHE_HOME": str(desk / "cache"), "SMARTVOICE_WORKER_PROCESSES": "1"})
    words = [sys.executable, "-m", "app.cli", "narrate", "long.txt", "--json"]
    process = subprocess.Popen(words, env=variables, cwd=desk, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["type"] == "audio:complete":
            break
    children = children_of(process.pid)
    assert children
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 130
    assert "Run the same command again to go on." in rest
    assert [pid for pid in children if alive(pid)] == []
    # Two at a time were under way, the others in line: all of them are called off, and begin anew.
    second = subprocess.run([*words], env=variables, cwd=desk, capture_output=True, text=True, timeout=110)
    assert second.returncode == 0, second.stderr
    told = lines(second.stdout)
    [there] = [one["data"]["text"] for one in told if "of them have audio" in one["data"].get("text", "")]
    kept = int(there.split(", ")[1].split(" ")[0])
    assert kept >= 1
    assert sum(one["type"] == "audio:complete" for one in told) == 5 - kept
    assert len(list((desk / "long").glob("*.mp3"))) == 5


def test_book_survives_that_its_stack_is_killed_twice() -> None:
    """`make book` in small: see `tests.long_book`."""
    found = long_book.run(12, 6000, 5)
    assert found.kills == ["the whole stack", "the whole stack, in the book"]
    assert len(found.marks) == 12
    assert max(found.voiced.values()) == 1
    assert found.peaks["worker"] < long_book.MAX_MB
