"""What a million connected users would take: arithmetic on measured figures, with every assumption in sight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.claims import Figures, figure
from bench.stats import median
from bench.svg import number

_USERS = 1_000_000
_STREAMS_A_PROCESS = 20_000  # the setting `max_streams` as it comes
_AT_WORK = 0.02  # share of the connected who have a narration under way
_EVENTS_A_SECOND = 2.0  # of each of those
_FULL = 0.5  # how busy a core should be
_HEARTBEAT_BYTES = 60
_HEARTBEAT_SECONDS = 15.0
_CORE_HOUR = 0.04  # of whatever currency: the order of magnitude of a cloud's core with 4 GB
_HOURS = 730
_POLLERS, _POLLS, _PUSHES = 100, 120_000, 400


def lines(figures: Figures, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The pages of arithmetic; each only as far as its figures were measured."""
    return [*_old_arithmetic(figures), *_two_processes(figures), *_million(figures, rows)]


def _old_arithmetic(figures: Figures) -> list[str]:
    poll, size = (figure("f200", "express", name)(figures) for name in ("cpu_ms", "bytes_each"))
    cheap, cheap_size = (figure("f304", "smartvoice", name)(figures) for name in ("cpu_ms", "bytes_each"))
    push, push_size = (figure("b", "smartvoice", name)(figures) for name in ("cpu_ms_per_1000", "bytes_each"))
    if None in (poll, size, cheap, cheap_size, push, push_size):
        return []
    assert poll
    assert size
    assert cheap
    assert cheap_size
    assert push
    assert push_size
    rows = [
        ("Express, polled", _POLLS, poll, size),
        ("SmartVoice, polled with ETag", _POLLS, cheap, cheap_size),
        ("SmartVoice, pushed", _PUSHES, push / 1000, push_size),
    ]
    found = [
        f"| {name} | {number(count)} | {number(ms * count / 1000)} | {number(each * count / 1e6)} |"
        for name, count, ms, each in rows
    ]
    return [
        f"## The old arithmetic: {_POLLERS} users for an hour",
        "",
        f"Polling each 3 s, {_POLLERS} users send {number(_POLLS)} requests an hour, to learn of {_PUSHES} changes.",
        "",
        "| | messages | CPU s of the server | MB |",
        "|---|---|---|---|",
        *found,
        "",
    ]


def _two_processes(figures: Figures) -> list[str]:
    one, two = (figure("b", server, "cpu_ms_per_1000")(figures) for server in ("smartvoice", "smartvoice2"))
    rate, rates = (figure("c", server, "rate")(figures) for server in ("smartvoice", "smartvoice2"))
    if one is None or two is None:
        return []
    lines = [
        "## A second web process",
        "",
        "Any number of web processes serve any user's streams; none knows of another. Two of them on the same one core",
        f"show what the split itself costs: {number(two)} ms of CPU for 1 000 events, where one",
        f"process needs {number(one)}.",
    ]
    if rate and rates:
        lines.append(f"Together they hold {number(rates)} events a second on that core, one alone {number(rate)}.")
    return [*lines, ""]


def _million(figures: Figures, rows: Sequence[dict[str, Any]]) -> list[str]:
    memory, idle = (figure("a10000", "smartvoice", name)(figures) for name in ("kb_each", "idle_cpu_percent"))
    cpu, size, back = (
        figure("b", "smartvoice", "cpu_ms_per_1000")(figures),
        figure("b", "smartvoice", "bytes_each")(figures),
        figure("e", "smartvoice", "cpu_s")(figures),
    )
    redis = median(
        row["load"]["redis"] / 1000 for row in rows if row["workload"] == "b" and row["server"] == "smartvoice"
    )
    if None in (memory, idle, cpu, size, redis):
        return []
    assert memory
    assert idle is not None
    assert cpu
    assert size
    assert redis
    events = _USERS * _AT_WORK * _EVENTS_A_SECOND
    cores = events * cpu / 1e6 + _USERS / 10_000 * idle / 100
    processes = max(math.ceil(_USERS / _STREAMS_A_PROCESS), math.ceil(cores / _FULL))
    shards = math.ceil(events * redis / _FULL)
    megabits = (events * size + _USERS * _HEARTBEAT_BYTES / _HEARTBEAT_SECONDS) * 8 / 1e6
    gigabytes = _USERS * memory / 1e6
    cost = (processes + shards) * _CORE_HOUR * _HOURS
    wave = ""
    if back:
        seconds = back / 5000 * _USERS / processes
        wave = f"If all come back at once, each process is at work for {number(seconds)} s until all are caught up."
    return [
        "## A million connected users",
        "",
        f"Assumed: {_AT_WORK:.0%} of them have a narration under way that tells {_EVENTS_A_SECOND:g} times a second",
        f"how far it is ({number(events)} events a second), each has one stream with a heartbeat each",
        f"{_HEARTBEAT_SECONDS:g} s, no process holds more than {number(_STREAMS_A_PROCESS)} streams, no core is busier",
        f"than {_FULL:.0%}, and a core with its memory costs {_CORE_HOUR} an hour. Put your own numbers in:",
        "`bench/millions.py`.",
        "",
        "| | | from |",
        "|---|---|---|",
        f"| CPU of the web side | {number(cores)} cores | {number(cpu)} ms for 1 000 events (b), {number(idle)} % of a "
        "core for 10 000 idle streams (a) |",
        f"| web processes | {processes} | the most of streams a process and CPU |",
        f"| memory for streams | {number(gigabytes)} GB | {number(memory)} KB each (a) |",
        f"| shards of a Redis Cluster | {shards} | {number(redis * 1e6)} µs of Redis for each event (b) |",
        f"| bandwidth | {number(megabits)} Mbit/s | {number(size)} bytes an event (b), {_HEARTBEAT_BYTES} a beat |",
        f"| cost | about {number(cost)} a month | {processes + shards} cores; without workers and traffic |",
        "",
        f"{wave} A user's events cost one Redis shard and the web processes that hold their streams, never all",
        "of them, so that all of it grows with the number of users and nothing with its square.",
        "",
    ]
