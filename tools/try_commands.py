"""Runs `make run` and `make test` as a newcomer does, from a fresh clone, and says what came of it.

`python3 tools/try_commands.py run|test|both`, within the clone. `make run` is ready when it prints its link; then the
sample is narrated and downloaded, Ctrl-C is pressed, and no process may be left. It takes every process that is there
at the end and was not at the beginning for one of SmartVoice's: on a machine of many, others' would count.
Exit status 1 where anything of this fails. With the standard library alone, as nothing else is installed.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
READY_SECONDS, NARRATED_SECONDS, STOP_SECONDS, TEST_SECONDS = 900.0, 300.0, 60.0, 5400.0
LINK = re.compile(r"(http://\S+?)/signin#link=\S+")
MAKE = ["make", *(["PYTHON=" + os.environ.pop("PYTHON")] if "PYTHON" in os.environ else [])]


class Failed(Exception):
    """Something did not go as promised; the message says what."""


def main(wanted: str) -> int:
    # A shell starts what runs in its background with Ctrl-C ignored, which would be handed on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    system = re.search(r'^PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text(), re.MULTILINE)
    python = subprocess.run([interpreter(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    print(f"{system[1] if system else sys.platform}, {python}, as {os.environ.get('USER', 'somebody')}", flush=True)
    try:
        if wanted in ("run", "both"):
            try_run("make run, from nothing")
            try_run("make run, again")
        if wanted in ("test", "both"):
            try_test()
    except Failed as error:
        print(f"FAILED: {error}")
        return 1
    return 0


def interpreter() -> str:
    return MAKE[1].removeprefix("PYTHON=") if len(MAKE) > 1 else "python3"


def try_run(title: str) -> None:
    before, began, log = processes(), time.monotonic(), HOME.parent / "run.log"
    with log.open("w") as output:
        # Its own group of processes, as a command in a terminal has, to which Ctrl-C goes.
        make = subprocess.Popen(
            [*MAKE, "run", f"PORT={free_port()}"], cwd=HOME, stdout=output, stderr=output, start_new_session=True
        )
    try:
        address = wait(lambda: link_in(log, make), READY_SECONDS, "`make run` printed no link", log)
        print(f"{title}: ready after {time.monotonic() - began:.1f} s; {sizes()}", flush=True)
        narrate(address)
    finally:
        began = time.monotonic()
        if make.poll() is None:
            os.killpg(make.pid, signal.SIGINT)
        try:
            status = make.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(make.pid, signal.SIGKILL)
            raise Failed(f"Ctrl-C did not end it within {STOP_SECONDS:.0f} s:\n{end_of(log)}") from None
    print(f"  Ctrl-C ended it after {time.monotonic() - began:.1f} s with status {status}", flush=True)
    # make ends itself by the signal that its command was told to end by.
    if status not in (0, -signal.SIGINT) or "Traceback" in log.read_text():
        raise Failed(f"it ended with status {status}:\n{end_of(log)}")
    left = {pid: name for pid, name in processes().items() if pid not in before}
    if left:
        raise Failed(f"processes are left: {left}")


def link_in(log: Path, make: subprocess.Popen[bytes]) -> str:
    """The address where it says that it is ready; empty until then."""
    if found := LINK.search(log.read_text()):
        return found[1]
    if make.poll() is not None:
        raise Failed(f"`make run` ended with status {make.returncode}:\n{end_of(log)}")
    return ""


def narrate(address: str) -> None:
    """Has the whole sample narrated, and its first chapter downloaded."""
    began = time.monotonic()
    asked = [str(HOME / ".venv/bin/smartvoice"), "token", "admin"]
    token = subprocess.run(asked, cwd=HOME, capture_output=True, text=True, check=True).stdout.strip()

    def ask(path: str, method: str = "GET") -> bytes:
        request = urllib.request.Request(address + path, method=method, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    [project] = json.loads(ask("/api/projects"))["projects"]
    place = f"/api/projects/{project['id']}"
    wait(lambda: json.loads(ask(place))["job"]["state"] == "completed", NARRATED_SECONDS, "the sample is not parsed")
    ask(f"{place}/audio", "POST")

    def narrated() -> list[str]:
        urls = [chapter["audioUrl"] for chapter in json.loads(ask(place))["chapters"]]
        return urls if urls and all(urls) else []

    urls = wait(narrated, NARRATED_SECONDS, "the sample is not narrated")
    audio = ask(urls[0])
    if not audio.startswith((b"ID3", b"\xff\xfb", b"\xff\xf3")):
        raise Failed(f"{urls[0]} is no mp3: {audio[:16]!r}")
    print(f"  {len(urls)} chapters of the sample narrated after {time.monotonic() - began:.1f} s", flush=True)


def try_test() -> None:
    before, began, log = processes(), time.monotonic(), HOME.parent / "test.log"
    with log.open("w") as output:
        make = subprocess.Popen([*MAKE, "test"], cwd=HOME, stdout=output, stderr=output, start_new_session=True)
        try:
            status = make.wait(TEST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(make.pid, signal.SIGKILL)
            raise Failed(f"`make test` took more than {TEST_SECONDS:.0f} s:\n{end_of(log)}") from None
    print(f"make test: status {status} after {time.monotonic() - began:.0f} s; {sizes()}")
    print(end_of(log, 60 if status else 25), flush=True)
    left = {pid: name for pid, name in processes().items() if pid not in before}
    if status or left:
        raise Failed(f"`make test` ended with status {status}; processes are left: {left}")


def wait(condition, seconds: float, otherwise: str, log: Path | None = None):  # type: ignore[no-untyped-def] # anything
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{otherwise} within {seconds:.0f} s" + (f":\n{end_of(log)}" if log else ""))
        time.sleep(0.1)
    return found


def processes() -> dict[int, str]:
    """Every process but this one and those that have ended, with its command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")[:100]
        except OSError:
            continue
    return found


def sizes() -> str:
    """Megabytes that are there now, by `du`."""
    places = {"kept downloads": Path.home() / ".cache", ".venv": HOME / ".venv", "data": HOME / "data"}
    told = []
    for name, folder in places.items():
        if folder.exists():
            printed = subprocess.run(["du", "-sm", str(folder)], capture_output=True, text=True).stdout
            told.append(f"{name} {printed.split()[0]} MB")
    return ", ".join(told)


def end_of(log: Path, lines: int = 25) -> str:
    return "\n".join(f"  | {line[:300]}" for line in log.read_text().splitlines()[-lines:])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in ("run", "test", "both"):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
