"""The whole run as a list of steps: which server in which workload, and about how long each takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.install import node
from bench.measure import Row
from bench.server import Server
from bench.servers import ALL, Bare, SocketIo, Tutorial
from bench.smartvoice import SmartVoice, SmartVoiceCalled, SmartVoiceTwice
from bench.workloads import polls, streams, work
from bench.workloads.streams import Plan

WORKLOADS = "abcdefgh"
_SECONDS = {"a": 18.0, "b": 21.0, "c": 22.0, "d": 10.0, "e": 9.0, "f": 7.0, "g": 26.0, "h": 16.0}
"""About how long a step takes on two cores, servers' start included."""
_ONCE = (Tutorial, Bare, SmartVoiceTwice)
"""Measured in (a), (b), (c) and (d) in the first pass only: no bar hangs on them, and time is short."""
_QUIET_SECONDS = 25.0


@dataclass(frozen=True)
class Step:
    """One server in one workload, once."""

    workload: str
    name: str
    seconds: float
    run: Callable[[], Awaitable[list[Row]]]


def steps(workloads: str, number: int, plan: Plan, build: Path, cores: int, known: dict[str, float]) -> list[Step]:
    """The steps of pass `number` (1, 2 …) in their order; `known` are rates held in an earlier pass, by server.

    In every other pass whoever was first is last, so that a machine which slows down or speeds up favours nobody.
    """
    turn = 1 if number % 2 else -1
    return [step for workload in workloads for step in [*_of(workload, number, plan, build, cores, known)][::turn]]


def missing() -> dict[str, str]:
    """Which servers cannot be measured here, and what they want."""
    found = {kind.title: kind.missing() for kind in ALL}
    return {title: wants for title, wants in found.items() if wants}


def _of(workload: str, number: int, plan: Plan, build: Path, cores: int, known: dict[str, float]) -> Iterator[Step]:
    def step(name: str, run: Callable[[], Awaitable[list[Row]]], longer: float = 0.0) -> Step:
        return Step(workload, name, _SECONDS[workload] + longer, run)

    def some(kinds: Sequence[type[Server]]) -> list[type[Server]]:
        return [kind for kind in _here(kinds) if number == 1 or kind not in _ONCE]

    match workload:
        case "a":
            # Idle CPU takes long to see and varies little: the first pass tells it.
            longer = _QUIET_SECONDS if number == 1 else 0.0
            for kind in some(ALL):
                yield step(kind.title, partial(streams.idle, kind, plan, build, quiet=number == 1), longer)
        case "b":
            for kind in some([*ALL, SmartVoiceCalled, SmartVoiceTwice]):
                yield step(kind.title, partial(streams.steady, kind, plan, build))
        case "c":
            for kind in some([*ALL, SmartVoiceTwice]):
                yield step(kind.title, partial(streams.highest, kind, plan, build, known.get(kind.name)))
        case "d":
            for kind in some(ALL):
                yield step(kind.title, partial(streams.tabs, kind, plan, build))
        case "e":
            for kind in _here([SmartVoice, SocketIo]):
                yield step(kind.title, partial(streams.returning, kind, plan, build))
        case "f":
            for kind in _here([SmartVoice, polls.Express, Tutorial]):
                for etag in (False, True):
                    how = "304" if etag else "200"
                    yield step(f"{kind.title}, {how}", partial(polls.status, kind, plan, build, etag=etag))
            yield step("SmartVoice, long poll", partial(polls.long_poll, plan, build))
        case "g":
            yield step("SmartVoice, quiet voice", partial(work.smartvoice_jobs, plan, build, "voice"))
            yield step("SmartVoice, nothing to do", partial(work.smartvoice_jobs, plan, build, "none"))
            if node():
                yield step("BullMQ", partial(work.bullmq_jobs, plan, build))
            yield step("Dramatiq", partial(work.dramatiq_jobs, plan, build))
        case "h":
            yield step("SmartVoice", partial(work.narration, plan, build, cores))
            yield step("the bare loop", partial(work.bare_narration, plan, build, cores))


def _here(kinds: Sequence[type[Server]]) -> list[type[Server]]:
    return [kind for kind in kinds if not kind.missing()]
