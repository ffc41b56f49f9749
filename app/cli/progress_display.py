"""What `smartvoice narrate` shows while it works: bars at a terminal, a line for each end elsewhere, or JSON lines."""

from __future__ import annotations

import json
import time
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.cli.job_tracker import Tracked
from app.client.events import Event

_MAX_BARS = 12


class ProgressDisplay(Protocol):
    """Told of all that happens; used as a context, in which it may hold the terminal."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, text: str) -> None:
        """A sentence for people."""
        ...

    def event(self, event: Event) -> None:
        """What the server told."""
        ...

    def job(self, title: str, job: Tracked) -> None:
        """How far a job is."""
        ...

    def overall(self, share: float, done: int, count: int) -> None:
        """How far all chapters are, from 0 to 1, and how many are done."""
        ...

    def file(self, path: str) -> None:
        """A file was written."""
        ...


class SilentDisplay:
    """Nothing but sentences and files: what the others have in common."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def event(self, event: Event) -> None: ...

    def job(self, title: str, job: Tracked) -> None: ...

    def overall(self, share: float, done: int, count: int) -> None: ...

    def file(self, path: str) -> None:
        print(path)


class LineDisplay(SilentDisplay):
    """A line for each job that ends: where stderr is no terminal."""

    def job(self, title: str, job: Tracked) -> None:
        if job.state != "open":
            self.say(f"{title}: {job.error.message if job.error else job.state}")


class JsonDisplay(SilentDisplay):
    """Each event, sentence and file as a line of JSON on stdout."""

    def say(self, text: str) -> None:
        _line({"type": "message", "data": {"text": text}})

    def event(self, event: Event) -> None:
        _line(event._asdict())

    def file(self, path: str) -> None:
        _line({"type": "file", "data": {"path": path}})


class BarDisplay(SilentDisplay):
    """A bar for each running job, and one for all of them with the time that is left."""

    def __init__(self) -> None:
        super().__init__()
        columns = (
            TextColumn("{task.description}", table_column=None),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}", style="dim"),
        )
        self._progress = Progress(*columns, console=self.console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._began: tuple[float, float] | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def job(self, title: str, job: Tracked) -> None:
        id = job.job.id
        if job.state != "open":
            if task := self._tasks.pop(id, None):
                self._progress.remove_task(task)
            if job.state != "completed":
                self.say(f"{title}: {job.error.message if job.error else job.state}")
            return
        if job.progress.stage == "queued" or (id not in self._tasks and len(self._tasks) >= _MAX_BARS):
            return
        if id not in self._tasks:
            self._tasks[id] = self._progress.add_task(_short(title), total=100, note="")
        eta = job.progress.eta_seconds
        note = f"{job.progress.message}{f' · {_clock(eta)} left' if eta else ''}"
        self._progress.update(self._tasks[id], completed=job.progress.percentage, note=note)

    def overall(self, share: float, done: int, count: int) -> None:
        if self._all is None:
            self._all = self._progress.add_task("All chapters", total=100, note="")
            self._began = (time.monotonic(), share)
        assert self._began is not None
        at, first = self._began
        moved = share - first
        left = f" · {_clock((time.monotonic() - at) / moved * (1 - share))} left" if moved > 0.02 else ""
        self._progress.update(self._all, completed=share * 100, note=f"{done} of {count}{left}")


def show_of(json_lines: bool) -> ProgressDisplay:
    """Bars at a terminal, JSON where that is asked for, else a line for each end."""
    if json_lines:
        return JsonDisplay()
    return BarDisplay() if Console(stderr=True).is_terminal else LineDisplay()


def _line(value: dict[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False, separators=(",", ":")), flush=True)


def _short(title: str) -> str:
    title = title.replace("[", "(")
    return title if len(title) <= 32 else f"{title[:31]}…"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
