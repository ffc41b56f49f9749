"""From the figures of a run (build/bench.json) to docs/develop/benchmarks.md with its tables and plots.

`python -m bench.report` writes it anew from the figures that are there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import millions, svg
from bench.claims import CLAIMS, Figures, against, figure
from bench.install import ROOT
from bench.stats import median
from bench.svg import number


class Column(NamedTuple):
    """A figure as a table has it; `compared` where it is also shown as a multiple of the first peer's."""

    name: str
    title: str
    compared: bool = False


class Section(NamedTuple):
    """A workload as the report has it. `plot`: figure, title and unit of its chart. `other`: what it is compared to."""

    workload: str
    title: str
    said: str
    columns: Sequence[Column]
    plot: tuple[str, str, str] | None
    other: str = "socketio"
    other_title: str = "Socket.IO"


_DELIVERED = (
    Column("p50_ms", "p50, ms"),
    Column("p99_ms", "p99, ms", True),
    Column("cpu_ms_per_1000", "CPU ms per 1 000", True),
    Column("bytes_each", "bytes each"),
)
_IDLE = (Column("kb_each", "KB each", True), Column("connect_s", "connected in, s", True))
_POLLED = (
    Column("polls_per_s", "polls a second"),
    Column("cpu_ms", "CPU ms a poll", True),
    Column("bytes_each", "bytes each"),
)
SECTIONS = (
    Section("a1000", "(a) 1 000 idle streams", "", _IDLE, None),
    Section("a5000", "(a) 5 000 idle streams", "", _IDLE, None),
    Section(
        "a10000",
        "(a) 10 000 idle streams",
        "Memory is what the process grew by, shared out among the streams; all send a heartbeat each 10 s.",
        (*_IDLE, Column("idle_cpu_percent", "CPU while idle, % of a core", True)),
        ("kb_each", "Memory of an idle stream, of 10 000", "KB"),
    ),
    Section(
        "b",
        "(b) 1 000 users, 1 000 events a second",
        "Each event is for one user, who has one stream. All come in by prepared commands, SmartVoice's by those "
        "that a worker sends: the whole appending script, with job, lease, log and push in one step, is part of the "
        "latency. Once more from the call in Python, which then runs on the load's core: no peer's figures have that.",
        _DELIVERED,
        ("cpu_ms_per_1000", "CPU of the server for 1 000 events, 1 000 users", "ms"),
    ),
    Section(
        "c",
        "(c) The highest rate",
        "Doubled, then halved in between, as long as 99 of 100 events come within 250 ms, none is lost or comes twice, "
        "and the generator keeps the rate. The note says what ended it; where that is the generator, the server could "
        "do more. SmartVoice's events go into log and channel as the appending script puts them there, without the "
        "job's hash.",
        (
            Column("rate", "events a second", True),
            Column("p99_ms", "p99 there, ms"),
            Column("cpu_ms_per_1000", "CPU ms per 1 000"),
        ),
        ("rate", "Highest rate of events, 1 000 users", "a second"),
    ),
    Section(
        "d",
        "(d) One user with 1 000 tabs, 20 events a second",
        "Each event goes to all of them: 20 000 deliveries a second.",
        _DELIVERED,
        ("cpu_ms_per_1000", "CPU of the server for 1 000 deliveries, one user", "ms"),
    ),
    Section(
        "e",
        "(e) 5 000 clients come back at once",
        "SmartVoice: until each has all of the 50 events that it missed. Socket.IO with its Redis adapter keeps "
        "nothing: until each is connected again, and what was missed is gone.",
        (Column("seconds", "all there after, s", True), Column("cpu_s", "CPU s", True)),
        ("seconds", "5 000 clients come back at once", "s"),
    ),
    Section(
        "f200",
        "(f) Job status, polled",
        "50 connections, each asking again at once.",
        _POLLED,
        None,
        "express",
        "Express",
    ),
    Section(
        "f304",
        "(f) Job status with If-None-Match",
        "",
        _POLLED,
        ("cpu_ms", "CPU of a poll that learns nothing new", "ms"),
        "express",
        "Express",
    ),
    Section(
        "flong",
        "(f) The long poll",
        "250 users, one event a second each, every event fetched by a request of its own.",
        _DELIVERED,
        None,
    ),
    Section(
        "g",
        "(g) Jobs",
        "From being asked for to the first progress and to the end, one job a second; then many jobs that wait for a "
        "worker that starts, eight at once, from the first progress to the last end. Four reports a job. SmartVoice "
        "once with its whole pipeline and a voice that says nothing (segments, files and mp3 encoder at work), once "
        "with a job that does nothing, as the others' do.",
        (
            Column("first_p50_ms", "first progress p50, ms", True),
            Column("first_p99_ms", "p99, ms"),
            Column("done_p50_ms", "end p50, ms"),
            Column("jobs_per_s", "jobs a second", True),
            Column("cpu_ms_a_job", "CPU ms a job"),
            Column("idle_cpu_percent", "CPU while idle, %"),
        ),
        ("jobs_per_s", "Jobs a second, one worker process", ""),
        "bullmq",
        "BullMQ",
    ),
    Section(
        "h",
        "(h) Narration on all cores",
        "The embedded voice to mp3, in English; the loop has the same voice, segments and encoder, a process for each "
        "core, and neither queue, log, storage nor kept segments.",
        (
            Column("times_real_time", "× real time", True),
            Column("characters_per_s", "characters a second"),
            Column("cpu_s_per_hour", "CPU s per hour of sound"),
        ),
        ("times_real_time", "Narration on all cores", "× real time"),
        "bare",
        "the loop",
    ),
)


def write(document: dict[str, Any], docs: Path) -> Path:
    """Write the report into `develop/` of the folder `docs`, its plots into `images/`; return the report's path."""
    images = docs / "images"
    images.mkdir(parents=True, exist_ok=True)
    for section in SECTIONS:
        if section.plot and (chart := _chart(section, document)):
            (images / f"bench-{section.workload}.svg").write_text(chart)
    path = docs / "develop" / "benchmarks.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(_lines(document)))
    return path


def by_pass(rows: Sequence[dict[str, Any]]) -> Figures:
    """Every figure in each pass, by workload and server."""
    found: dict[tuple[str, str], dict[str, dict[int, float | None]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        for name, value in row["figures"].items():
            found[row["workload"], row["server"]][name][row["number"]] = value
    return found


def _lines(document: dict[str, Any]) -> list[str]:
    figures = by_pass(document["rows"])
    lines = [
        "# Benchmarks",
        "",
        "What it costs to deliver an event, to answer a poll, to do a job and to narrate: SmartVoice beside the",
        "stack that it replaces and others, on one machine, in one run. `make bench` measures it and writes this page;",
        "how it measures is told in [bench/README.md](../../bench/README.md). Figures are medians over the passes; in",
        "brackets the multiple of the peer that is named, the median of those in each pass. Another machine, or one at",
        "work, gives other figures: look at the ratios.",
        "",
        *_machine(document),
        "",
        "## What must hold",
        "",
        "| | what | measured | bar | goal | |",
        "|---|---|---|---|---|---|",
        *(_claim(figures, index) for index in range(len(CLAIMS))),
    ]
    for section in SECTIONS:
        lines += _section(section, document["rows"], figures)
    lines += ["", *millions.lines(figures, document["rows"]), *_left_out(document)]
    return [*lines, ""]


def _machine(document: dict[str, Any]) -> list[str]:
    lines = ["| | |", "|---|---|"]
    lines += [f"| {name} | {said} |" for name, said in document["machine"].items()]
    for workloads, ran in _runs(document["ran"]):
        said = f"{ran['passes']} passes in {ran['minutes']} minutes, commit {ran['commit']}, Python {ran['python']}"
        said += f", load before {ran['load']}"
        lines.append(f"| {workloads}, {ran['at']} | {said} |")
    return lines


def _runs(ran: dict[str, dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Workloads that were measured in the same run, together."""
    by_run: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for workload, run in sorted(ran.items()):
        by_run.setdefault(json.dumps(run), ([], run))[0].append(workload)
    return [(", ".join(workloads), run) for workloads, run in by_run.values()]


def _claim(figures: Figures, index: int) -> str:
    claim = CLAIMS[index]
    sign, form = ("≥" if claim.more else "≤"), f" {claim.form}"
    goal = "" if claim.goal is None else f"{sign} {number(claim.goal)}{form}"
    value = claim.value(figures)
    measured = "–" if value is None else f"{number(value)}{form}"
    bar = f"{sign} {number(claim.bar)}{form}"
    return f"| {claim.workload} | {claim.what} | {measured} | {bar} | {goal} | {claim.verdict(figures)} |"


def _section(section: Section, rows: Sequence[dict[str, Any]], figures: Figures) -> list[str]:
    mine = [row for row in rows if row["workload"] == section.workload]
    if not mine:
        return []
    titles = {row["server"]: row["title"] for row in mine}
    lines = ["", f"## {section.title}", ""]
    lines += [section.said, ""] if section.said else []
    lines += [f"![{section.plot[1]}](../images/bench-{section.workload}.svg)", ""] if section.plot else []
    heads = [
        f"{column.title} (× {section.other_title}'s)" if column.compared else column.title for column in section.columns
    ]
    lines.append("| | " + " | ".join([*heads, "generator / Redis", "lost / twice", ""]) + " |")
    lines.append("|---" * (len(heads) + 4) + "|")
    for server, title in titles.items():
        cells = [_cell(column, section, server, figures) for column in section.columns]
        lines.append(
            f"| {title} | " + " | ".join([*cells, *_checks([row for row in mine if row["server"] == server])]) + " |"
        )
    return lines


def _cell(column: Column, section: Section, server: str, figures: Figures) -> str:
    value = figure(section.workload, server, column.name)(figures)
    times = None
    if column.compared and server != section.other:
        times = against(section.workload, column.name, section.other, server)(figures)
    return number(value) + ("" if times is None else f" ({number(times)} ×)")


def _checks(rows: Sequence[dict[str, Any]]) -> list[str]:
    """How busy the load was, what went missing, and what else is to be said."""
    shares = [median(row["load"].get(name) for row in rows) for name in ("generator", "redis")]
    load = " / ".join("–" if share is None else f"{share:.0%}" for share in shares)
    notes = list(dict.fromkeys(row["note"] for row in rows if row["note"]))[-1:]
    if any(row["limited"] for row in rows):
        notes.insert(0, "**the load's core was too busy: the server may do better**")
    return [load, f"{sum(row['lost'] for row in rows)} / {sum(row['duplicated'] for row in rows)}", "; ".join(notes)]


def _chart(section: Section, document: dict[str, Any]) -> str | None:
    assert section.plot
    name, title, unit = section.plot
    figures = by_pass(document["rows"])
    titles = {row["server"]: row["title"] for row in document["rows"] if row["workload"] == section.workload}
    values = [(titles[server], figure(section.workload, server, name)(figures), server) for server in titles]
    known = [(title, value, server.startswith("smartvoice")) for title, value, server in values if value is not None]
    return svg.bars(title, known, unit) if known else None


def _left_out(document: dict[str, Any]) -> list[str]:
    lines = [f"- {title} was not measured: it wants {wants}." for title, wants in document["missing"].items()]
    lines += [f"- Not measured, as the time was over: {name}." for name in document["skipped"]]
    lines += [f"- Failed: {said}" for said in document["failed"]]
    return ["", "## What is missing here", "", *lines] if lines else []


if __name__ == "__main__":
    print(write(json.loads((ROOT / "build" / "bench.json").read_text()), ROOT / "docs"))
