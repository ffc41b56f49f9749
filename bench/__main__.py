"""`python -m bench`: measures everything, side by side, and writes what came of it to docs/develop/benchmarks.md.

`make bench ONLY=b,d PASSES=1` measures some of it; `SMALL=1` is a quick look that changes no document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench import install, machine, report
from bench.measure import Row
from bench.process import LOAD_CORE, Failed
from bench.steps import WORKLOADS, Step, missing, steps
from bench.workloads.streams import Plan

MAX_SECONDS = 25 * 60
_RESERVE_SECONDS = 20
_QUIET_LOAD = 0.7

console = Console(highlight=False)


def main() -> int:
    """The exit status: 1 where something could not be measured."""
    given = _arguments()
    if (os.cpu_count() or 1) < 2:
        console.print("The benchmarks want two cores: one for the server, one for the load.")
        return 2
    _greet(given)
    files = machine.open_files()
    cores = os.cpu_count() or 2
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    plan = Plan(small=given.small, files=files)
    run = Run(given.only, given.passes, plan, cores, given.longest)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"), console=console
    ) as progress:
        uvloop.run(run.measure(progress))
    path = install.BUILD.parent / ("bench-small.json" if given.small else "bench.json")
    document = merged(path, run.document())
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1))
    console.print(f"Figures are in {path.relative_to(install.ROOT)}.")
    docs = install.BUILD if given.small else install.ROOT / "docs"
    console.print(f"The report is {report.write(document, docs)}.")
    return 1 if run.failed else 0


class Run:
    """One run: the rows it has brought, what it could not bring, and why."""

    def __init__(self, workloads: str, passes: int, plan: Plan, cores: int, longest: float) -> None:
        self._workloads = workloads
        self._passes = passes
        self._plan = plan
        self._cores = cores
        self._longest = longest
        self._began = time.monotonic()
        self._spent, self._expected = 0.0, 0.0
        self._load = round(machine.busy(), 1)
        self.rows: list[dict[str, Any]] = []
        self.failed: list[str] = []
        self.skipped: list[str] = []

    async def measure(self, progress: Progress) -> None:
        """Goes through all passes, as far as the time goes. Told to end, it first ends what it started."""
        this = asyncio.current_task()
        assert this is not None
        for told in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(told, this.cancel)
        known: dict[str, float] = {}
        first = self._steps(1, known)
        total = sum(step.seconds for number in range(self._passes) for step in self._steps(number + 1, known))
        task = progress.add_task("", total=total, left="")
        for number in range(1, self._passes + 1):
            for step in first if number == 1 else self._steps(number, known):
                left = (total - self._expected) * self._pace
                what = f"pass {number} of {self._passes} · {step.workload} · {step.name}"
                progress.update(task, description=what, left=f"about {left / 60:.0f} min left")
                if not console.is_terminal:
                    console.print(f"[dim]{what} · about {left / 60:.0f} min left[/]", soft_wrap=True)
                await self._take(number, step, known)
                self._expected += step.seconds
                progress.update(task, completed=self._expected)

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        at = datetime.now(UTC).isoformat(timespec="minutes")
        ran = {"at": at, "passes": self._passes, "minutes": round((time.monotonic() - self._began) / 60, 1)}
        ran["load"] = self._load
        described = machine.description()
        # What may differ from run to run on one machine.
        ran |= {name: described.pop(name) for name in ("commit", "python")}
        return {
            "machine": described,
            "ran": dict.fromkeys(self._workloads, ran),
            "missing": missing(),
            "failed": self.failed,
            "skipped": self.skipped,
            "rows": self.rows,
        }

    @property
    def _pace(self) -> float:
        """How long steps really take, for each second that was expected."""
        return self._spent / self._expected if self._expected else 1.0

    async def _take(self, number: int, step: Step, known: dict[str, float]) -> None:
        name = f"{step.workload}, {step.name}, pass {number}"
        if time.monotonic() - self._began + step.seconds * self._pace > self._longest - _RESERVE_SECONDS:
            self.skipped.append(name)
            return
        began = time.monotonic()
        try:
            rows = await step.run()
        except* (Failed, OSError, RuntimeError, TimeoutError, AssertionError) as group:
            self.failed.append(f"{name}: {'; '.join(str(error) or type(error).__name__ for error in group.exceptions)}")
            console.print(f"[red]  {self.failed[-1][:600]}[/]", markup=True, soft_wrap=True)
            rows = []
        self._spent += time.monotonic() - began
        for row in rows:
            row.number = number
            self.rows.append(row.as_json())
            rate = row.figures.get("rate")
            if step.workload == "c" and rate:
                known[row.server] = rate
            _show(row)

    def _steps(self, number: int, known: dict[str, float]) -> list[Step]:
        return steps(self._workloads, number, self._plan, install.BUILD, self._cores, known)


def merged(path: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    """`fresh`, and what an earlier run in `path` has of workloads that this one left out."""
    if not path.exists():
        return fresh
    earlier = json.loads(path.read_text())
    kept = [row for row in earlier["rows"] if row["workload"][0] not in fresh["ran"]]
    return {**fresh, "rows": [*kept, *fresh["rows"]], "ran": {**earlier["ran"], **fresh["ran"]}}


def _show(row: Row) -> None:
    figures = "  ".join(f"{name} {value:.5g}" for name, value in row.figures.items() if value is not None)
    load = "  ".join(f"{name} {share:.0%}" for name, share in row.load.items())
    wrong = f"  [red]lost {row.lost}, twice {row.duplicated}[/]" if row.lost or row.duplicated else ""
    mark = "  [yellow]the load's core was too busy[/]" if row.limited else ""
    head = f"  [bold]{row.workload:7}[/] {row.title:32} {figures}"
    console.print(f"{head}  [dim]{load}[/]{wrong}{mark} [dim]{row.note}[/]", soft_wrap=True)


def _greet(given: argparse.Namespace) -> None:
    console.print("Preparing the peers (npm, nginx) in build/bench …")
    install.node()
    for title, wants in missing().items():
        console.print(f"[yellow]{title} is left out: it wants {wants}.[/]")
    if machine.busy() > _QUIET_LOAD:
        console.print(f"[yellow]This machine is at work already (load {machine.busy():.1f}): figures will be worse.[/]")
    console.print(f"Server on core 0, load and Redis on core 1, {given.passes} passes, loopback only.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", default="", help="workloads, such as b,d")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a quick look: everything ten times smaller")
    parser.add_argument("--longest", type=float, default=MAX_SECONDS, help="seconds after which it stops")
    given = parser.parse_args()
    given.only = "".join(letter for letter in given.only.lower() if letter.isalpha()) or WORKLOADS
    if unknown := set(given.only) - set(WORKLOADS):
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    return given


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("Stopped; nothing was written.")
        sys.exit(130)
