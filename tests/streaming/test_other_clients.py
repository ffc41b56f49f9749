"""Clients in other languages and of other makers read a log over a restart of the server: each event once, in order."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.core.eventlog.log import EventLog
from app.core.jobs.service import Jobs
from tests.faults.rig import rigged
from tests.npm import node_modules, python_packages
from tests.programs import program
from tests.streaming.test_foreign_clients import NASTY, USER, printing, said, say
from tests.support import NoDispatcher, until

PROGRAMS = Path(__file__).parent / "clients"
TEXTS = NASTY[:6]
EVENTS = 3 * len(TEXTS)


def _npm(program: str, package: str, versions: str, *more: str) -> list[str]:
    node_modules(package, versions)
    return ["node", program, *more]


def _python(program: str, package: str) -> list[str]:
    path = python_packages(package)
    return [sys.executable, "-c", f"import runpy, sys; sys.path.append({str(path)!r}); runpy.run_path({program!r})"]


def _system(command: str, needed: str, *arguments: str) -> list[str]:
    program(needed)
    return [command, *arguments]


def _java(program: str) -> list[str]:
    options = (
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dfile.encoding=UTF-8",
        "-Dstdout.encoding=UTF-8",
        program,
    )
    return _system("java", "javac", *options)


# Each as a command, to which address and token are added after the program.
CLIENTS: dict[str, Callable[[Path], list[str]]] = {
    "eventsource 2": lambda folder: _npm(str(folder / "eventsource2.mjs"), "eventsource2", "npm:eventsource@^2"),
    "eventsource 3": lambda folder: _npm(str(folder / "eventsource.mjs"), "eventsource3", "npm:eventsource@^3"),
    "eventsource 4": lambda folder: _npm(str(folder / "eventsource.mjs"), "eventsource4", "npm:eventsource@^4"),
    "eventsource 5": lambda folder: _npm(str(folder / "eventsource.mjs"), "eventsource5", "npm:eventsource@^5"),
    "eventsource-client": lambda folder: _npm(str(folder / "eventsource-client.mjs"), "eventsource-client", "^1"),
    "fetch-event-source": lambda folder: _npm(
        str(folder / "fetch-event-source.mjs"), "@microsoft/fetch-event-source", "^2"
    ),
    "undici": lambda folder: _npm(str(folder / "undici.mjs"), "undici", "^7"),
    "event-source-polyfill": lambda folder: _npm(
        str(folder / "event-source-polyfill.mjs"), "event-source-polyfill", "^1"
    ),
    "sseclient-py": lambda folder: _python(str(folder / "read_by_sseclient.py"), "sseclient-py>=1.9,<2"),
    "requests-sse": lambda folder: _python(str(folder / "read_by_requests_sse.py"), "requests-sse>=0.5.3,<0.6"),
    "urllib3": lambda folder: [sys.executable, str(folder / "read_by_urllib3.py")],
    "perl": lambda folder: _system("perl", "perl", str(folder / "read.pl")),
    "java": lambda folder: _java(str(folder / "Read.java")),
}
_VERSION = {f"eventsource {number}": [f"eventsource{number}"] for number in (3, 4, 5)}


@dataclass
class Heard:
    """What a client has printed; `absent` says why it could not be had."""

    lines: list[str] = field(default_factory=list)
    absent: BaseException | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def count(self, *types: str) -> int:
        return sum(event["type"] in types for event in self.events)


def _programs(folder: Path) -> Path:
    """Where the programs find npm's packages beside them."""
    shutil.copytree(PROGRAMS, folder / "programs")
    (folder / "programs" / "node_modules").symlink_to(Path(sys.prefix) / "npm" / "node_modules")
    return folder / "programs"


async def _all_hear(folder: Path) -> dict[str, Heard]:
    """What each client heard: texts live, while the server restarts in good order, live, after its `kill -9`, live."""
    programs, heard = _programs(folder), {name: Heard() for name in CLIENTS}
    async with rigged() as rig, AsyncExitStack() as stack:
        web = await rig.web(drain_seconds=1)
        for name, command in CLIENTS.items():
            try:
                words = command(programs)
            except (pytest.skip.Exception, pytest.fail.Exception) as error:
                heard[name].absent = error
                continue
            told = [*words, f"{web.address}/api/events", rig.token(USER), *_VERSION.get(name, [])]
            heard[name].lines = await stack.enter_async_context(printing(*told, cwd=programs))
        there = [one for one in heard.values() if one.absent is None]  # and goes along
        redis = await stack.enter_async_context(rig.client)
        jobs = Jobs(redis, EventLog(redis, rig.settings), rig.settings, NoDispatcher())

        async def all_have(count: int, *types: str) -> None:
            # Who does not get that far fails in a test of its own, and is not waited for again.
            with suppress(AssertionError):
                await until(lambda: all(one.count(*types) >= count for one in there), 30)
            there[:] = [one for one in there if one.count(*types) >= count]

        await all_have(1, "ready")
        await say(jobs, redis, TEXTS[:1])
        await all_have(3, "audio:progress", "audio:failed")
        await web.stop()
        await say(jobs, redis, TEXTS[1:2])
        await web.restart()
        await all_have(2, "ready")
        await say(jobs, redis, TEXTS[2:4])
        await all_have(12, "audio:progress", "audio:failed")
        web.kill()
        await say(jobs, redis, TEXTS[4:5])
        await web.restart()
        await all_have(3, "ready")
        await say(jobs, redis, TEXTS[5:])
        await all_have(EVENTS, "audio:progress", "audio:failed")
    return heard


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Heard]:
    return asyncio.run(_all_hear(tmp_path_factory.mktemp("clients")))


@pytest.mark.parametrize("client", CLIENTS)
def test_client_of_others_hears_each_event_once_over_a_restart(heard: dict[str, Heard], client: str) -> None:
    one = heard[client]
    if one.absent is not None:
        raise one.absent
    events = [event for event in one.events if event["type"] not in {"ready", "heartbeat", "goodbye"}]
    assert [int(event["id"].split("-")[1]) for event in events] == list(range(1, EVENTS + 1))
    assert said([(event["type"], event["data"]) for event in events]) == TEXTS
    assert one.count("ready") >= 3
