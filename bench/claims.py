"""What the benchmarks are held against: for each workload the bar that must be met and the goal beyond it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.stats import median, paired

Figures = Mapping[tuple[str, str], Mapping[str, Mapping[int, float | None]]]
"""By workload and server: each figure, by the number of the pass."""
_TICK_PERCENT = 0.15
"""Less than this cannot be told apart: CPU is counted in ticks of 10 ms."""
_LEVEL = 1.1
"""How much more still counts as level with another."""


@dataclass(frozen=True)
class Claim:
    """One thing that is held against a bar, and a goal where there is one beyond it; `more` where more is better."""

    workload: str
    what: str
    value: Callable[[Figures], float | None]
    bar: float
    goal: float | None = None
    more: bool = False
    form: str = "×"

    def verdict(self, figures: Figures) -> str:
        value = self.value(figures)
        if value is None:
            return "not measured"
        if self.goal is not None and self._reaches(value, self.goal):
            return "goal reached"
        return "bar met" if self._reaches(value, self.bar) else "**not met**"

    def _reaches(self, value: float, mark: float) -> bool:
        return value >= mark if self.more else value <= mark


def passes(figures: Figures, workload: str, server: str, name: str) -> Mapping[int, float | None]:
    """A figure in each pass."""
    return figures.get((workload, server), {}).get(name, {})


def figure(workload: str, server: str, name: str) -> Callable[[Figures], float | None]:
    """SmartVoice's or another's own figure: the median over the passes."""
    return lambda figures: median(passes(figures, workload, server, name).values())


def against(workload: str, name: str, other: str, mine: str = "smartvoice") -> Callable[[Figures], float | None]:
    """A figure of ours as a multiple of another server's in the same pass: the median over the passes."""
    return lambda figures: paired(passes(figures, workload, mine, name), passes(figures, workload, other, name))


def _unchanged_is_cheaper(figures: Figures) -> float | None:
    unchanged, whole = (passes(figures, workload, "smartvoice", "cpu_ms") for workload in ("f304", "f200"))
    return paired(unchanged, whole)


def _idle_more_than_dramatiq(figures: Figures) -> float | None:
    """In percent of a core; a multiple would not do, as Dramatiq may need less than can be told."""
    mine, other = (figure("g", server, "idle_cpu_percent")(figures) for server in ("smartvoice", "dramatiq"))
    return None if mine is None or other is None else max(0.0, mine - other)


CLAIMS = (
    Claim("a", "10 000 idle streams: memory each", figure("a10000", "smartvoice", "kb_each"), 20, 12, form="KB"),
    Claim("a", "the same, to nchan's", against("a10000", "kb_each", "nchan"), 20 / 11.1, 1.0),
    Claim("a", "time to connect them, to Socket.IO's", against("a10000", "connect_s", "socketio"), 0.4),
    Claim("a", "CPU while idle, to Socket.IO's", against("a10000", "idle_cpu_percent", "socketio"), 0.3),
    Claim("b", "CPU an event, to Socket.IO's", against("b", "cpu_ms_per_1000", "socketio"), 0.75, 0.55),
    Claim("b", "CPU an event, to nchan's", against("b", "cpu_ms_per_1000", "nchan"), 1.5, _LEVEL),
    Claim("b", "p99, to Socket.IO's", against("b", "p99_ms", "socketio"), 1.0),
    Claim("c", "highest rate, to Socket.IO's", against("c", "rate", "socketio"), 2.0, 4.0, more=True),
    Claim("c", "highest rate, to nchan's", against("c", "rate", "nchan"), 1.0, 2.0, more=True),
    Claim("d", "CPU a delivery, to Socket.IO's", against("d", "cpu_ms_per_1000", "socketio"), 1.0, 0.7),
    Claim("d", "p99, to Socket.IO's", against("d", "p99_ms", "socketio"), 2.0),
    Claim("e", "all caught up, to Socket.IO merely reconnected", against("e", "seconds", "socketio"), 0.6, 0.4),
    Claim("f", "CPU a poll, to Express'", against("f200", "cpu_ms", "express"), 0.3, 0.2),
    Claim("f", "CPU of a 304, to a 200", _unchanged_is_cheaper, 1.0),
    Claim("g", "asked for to first progress, p50", figure("g", "smartvoice", "first_p50_ms"), 10, 4, form="ms"),
    Claim("g", "asked for to first progress, p99", figure("g", "smartvoice", "first_p99_ms"), 50, form="ms"),
    Claim("g", "CPU while idle, more than Dramatiq's", _idle_more_than_dramatiq, _TICK_PERCENT, form="% of a core"),
    Claim(
        "g",
        "jobs a second that do nothing, to BullMQ's",
        against("g", "jobs_per_s", "bullmq", "smartvoice-none"),
        0.6,
        1.0,
        more=True,
    ),
    Claim("h", "narration, to the bare loop", against("h", "times_real_time", "bare"), 0.85, 0.95, more=True),
)
